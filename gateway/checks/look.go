package checks

// Look judges a house.
func Look(h House) Report {
	var all []Check
	add := func(c Check) { all = append(all, c) }
	for i, text := range h.Notices {
		add(start(i, text))
	}
	add(power(h))
	add(heat(h))
	add(memory(h))
	add(space(h))
	add(wear(h))
	add(store(h))
	add(lan(h))
	add(name(h))
	add(wallClock(h))
	add(broker(h))
	add(receivers(h))
	add(access(h))
	for _, u := range h.Uplinks {
		add(uplink(h, u))
	}
	add(homeAssistant(h))
	add(documents(h))
	add(sticks(h))
	for _, s := range h.Sticks {
		add(stick(h, s))
	}
	add(devices(h))
	add(batteries(h))
	add(updates(h))
	add(certificates(h))
	add(backup(h))
	return report(all)
}

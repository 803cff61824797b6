package airquality

// at returns the n-th number of a frame of Plantower's.
func at(frame []byte, n int) int64 { return u16.decode(frame[word(n):]) }

// zero reports whether the numbers from first to last are zero.
func zero(frame []byte, first, last int) bool {
	for n := first; n <= last; n++ {
		if at(frame, n) != 0 {
			return false
		}
	}
	return true
}

// counting reports whether the numbers from 6 to last can be how many particles
// are larger than one size after the other.
func counting(frame []byte, last int) bool {
	for n := 7; n <= last; n++ {
		if at(frame, n) > at(frame, n-1) {
			return false
		}
	}
	return true
}

// feeling reports whether numbers 10 and 11 can be temperature and humidity.
func feeling(frame []byte) bool {
	t, h := i16.decode(frame[word(10):]), at(frame, 11)
	return coldest <= t && t <= hottest && driest <= h && h <= wettest
}

// isPMSx003 looks for six counts. If there is not one particle it is Honeywell's
// frame, or the sensor has only just been switched on.
func isPMSx003(frame []byte) claim {
	switch {
	case at(frame, 6) == 0 || !counting(frame, 11):
		return not
	case feeling(frame):
		return possible
	}
	return certain
}

// isPMS5003T looks for four counts, temperature and humidity.
func isPMS5003T(frame []byte) claim {
	switch {
	case !counting(frame, 9) || !feeling(frame):
		return not
	case counting(frame, 11):
		return possible
	}
	return certain
}

// isHPMA115S0 looks for PM2.5 and PM10 between numbers that are reserved
// (HPM Series 32322550 Issue F, table 5). Number 12 is too, but is not zero.
func isHPMA115S0(frame []byte) claim {
	switch {
	case at(frame, 0) != 0 || !zero(frame, 3, 11):
		return not
	case zero(frame, 1, 2):
		return possible
	}
	return certain
}

// isHPMA115C0 looks for PM1, PM2.5, PM4 and PM10 before numbers that are
// reserved (table 7). Plantower's number 4 is not smaller than number 3.
func isHPMA115C0(frame []byte) claim {
	switch {
	case !zero(frame, 4, 11):
		return not
	case zero(frame, 0, 3):
		return possible
	case at(frame, 3) == 0:
		return not
	}
	return certain
}

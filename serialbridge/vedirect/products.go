package vedirect

import (
	"fmt"
	"strconv"
)

// product returns what a person calls a device and its model, from its product
// ID. The model is empty if the ID is not known; then the range it is from still
// tells what it is.
func product(pid string) (name, model string) {
	n, err := strconv.ParseUint(pid, 16, 16)
	if err != nil {
		return "Victron device", ""
	}
	id := uint16(n)
	switch {
	case monitors[id] != "":
		return "Battery monitor", monitors[id]
	case solarChargers[id] != "":
		return "Solar charger", solarChargers[id]
	case chargers[id] != "":
		return "Charger", chargers[id]
	case id>>8 == 0xA2:
		return "Inverter", phoenix(id)
	case id>>8 == 0xA0, id>>8 == 0xA1:
		return "Solar charger", ""
	}
	return "Victron device", ""
}

// The product IDs are those of VE.Direct Protocol 3.33 as koestler/go-victron,
// veproduct/product.go (MIT), lists them; 0xA07C to 0xA07F and the first
// generation of Phoenix Inverters are from softwarecrash/Victron2MQTT,
// src/VeDirectDeviceList.h.

var monitors = map[uint16]string{
	0x203:  "BMV-700",
	0x204:  "BMV-702",
	0x205:  "BMV-700H",
	0xA381: "BMV-712 Smart",
	0xA382: "BMV-710H Smart",
	0xA383: "BMV-712 Smart rev2",
	0xA389: "SmartShunt 500A/50mV",
	0xA38A: "SmartShunt 1000A/50mV",
	0xA38B: "SmartShunt 2000A/50mV",
}

var solarChargers = map[uint16]string{
	0x300:  "BlueSolar MPPT 70/15",
	0xA040: "BlueSolar MPPT 75/50",
	0xA041: "BlueSolar MPPT 150/35",
	0xA042: "BlueSolar MPPT 75/15",
	0xA043: "BlueSolar MPPT 100/15",
	0xA044: "BlueSolar MPPT 100/30",
	0xA045: "BlueSolar MPPT 100/50",
	0xA046: "BlueSolar MPPT 150/70",
	0xA047: "BlueSolar MPPT 150/100",
	0xA049: "BlueSolar MPPT 100/50 rev2",
	0xA04A: "BlueSolar MPPT 100/30 rev2",
	0xA04B: "BlueSolar MPPT 150/35 rev2",
	0xA04C: "BlueSolar MPPT 75/10",
	0xA04D: "BlueSolar MPPT 150/45",
	0xA04E: "BlueSolar MPPT 150/60",
	0xA04F: "BlueSolar MPPT 150/85",
	0xA050: "SmartSolar MPPT 250/100",
	0xA051: "SmartSolar MPPT 150/100",
	0xA052: "SmartSolar MPPT 150/85",
	0xA053: "SmartSolar MPPT 75/15",
	0xA054: "SmartSolar MPPT 75/10",
	0xA055: "SmartSolar MPPT 100/15",
	0xA056: "SmartSolar MPPT 100/30",
	0xA057: "SmartSolar MPPT 100/50",
	0xA058: "SmartSolar MPPT 150/35",
	0xA059: "SmartSolar MPPT 150/100 rev2",
	0xA05A: "SmartSolar MPPT 150/85 rev2",
	0xA05B: "SmartSolar MPPT 250/70",
	0xA05C: "SmartSolar MPPT 250/85",
	0xA05D: "SmartSolar MPPT 250/60",
	0xA05E: "SmartSolar MPPT 250/45",
	0xA05F: "SmartSolar MPPT 100/20",
	0xA060: "SmartSolar MPPT 100/20 48V",
	0xA061: "SmartSolar MPPT 150/45",
	0xA062: "SmartSolar MPPT 150/60",
	0xA063: "SmartSolar MPPT 150/70",
	0xA064: "SmartSolar MPPT 250/85 rev2",
	0xA065: "SmartSolar MPPT 250/100 rev2",
	0xA066: "BlueSolar MPPT 100/20",
	0xA067: "BlueSolar MPPT 100/20 48V",
	0xA068: "SmartSolar MPPT 250/60 rev2",
	0xA069: "SmartSolar MPPT 250/70 rev2",
	0xA06A: "SmartSolar MPPT 150/45 rev2",
	0xA06B: "SmartSolar MPPT 150/60 rev2",
	0xA06C: "SmartSolar MPPT 150/70 rev2",
	0xA06D: "SmartSolar MPPT 150/85 rev3",
	0xA06E: "SmartSolar MPPT 150/100 rev3",
	0xA06F: "BlueSolar MPPT 150/45 rev2",
	0xA070: "BlueSolar MPPT 150/60 rev2",
	0xA071: "BlueSolar MPPT 150/70 rev2",
	0xA072: "BlueSolar MPPT 150/45 rev3",
	0xA073: "SmartSolar MPPT 150/45 rev3",
	0xA074: "SmartSolar MPPT 75/10 rev2",
	0xA075: "SmartSolar MPPT 75/15 rev2",
	0xA076: "BlueSolar MPPT 100/30 rev3",
	0xA077: "BlueSolar MPPT 100/50 rev3",
	0xA078: "BlueSolar MPPT 150/35 rev3",
	0xA079: "BlueSolar MPPT 75/10 rev2",
	0xA07A: "BlueSolar MPPT 75/15 rev2",
	0xA07B: "BlueSolar MPPT 100/15 rev2",
	0xA07C: "BlueSolar MPPT 75/10 rev3",
	0xA07D: "BlueSolar MPPT 75/15 rev3",
	0xA07E: "SmartSolar MPPT 100/30 12V",
	0xA07F: "All-In-1 SmartSolar MPPT 75/15 12V",
	0xA102: "SmartSolar MPPT VE.Can 150/70",
	0xA103: "SmartSolar MPPT VE.Can 150/45",
	0xA104: "SmartSolar MPPT VE.Can 150/60",
	0xA105: "SmartSolar MPPT VE.Can 150/85",
	0xA106: "SmartSolar MPPT VE.Can 150/100",
	0xA107: "SmartSolar MPPT VE.Can 250/45",
	0xA108: "SmartSolar MPPT VE.Can 250/60",
	0xA109: "SmartSolar MPPT VE.Can 250/70",
	0xA10A: "SmartSolar MPPT VE.Can 250/85",
	0xA10B: "SmartSolar MPPT VE.Can 250/100",
	0xA10C: "SmartSolar MPPT VE.Can 150/70 rev2",
	0xA10D: "SmartSolar MPPT VE.Can 150/85 rev2",
	0xA10E: "SmartSolar MPPT VE.Can 150/100 rev2",
	0xA10F: "BlueSolar MPPT VE.Can 150/100",
	0xA112: "BlueSolar MPPT VE.Can 250/70",
	0xA113: "BlueSolar MPPT VE.Can 250/100",
	0xA114: "SmartSolar MPPT VE.Can 250/70 rev2",
	0xA115: "SmartSolar MPPT VE.Can 250/100 rev2",
	0xA116: "SmartSolar MPPT VE.Can 250/85 rev2",
	0xA117: "BlueSolar MPPT VE.Can 150/100 rev2",
}

var chargers = map[uint16]string{
	0xA340: "Phoenix Smart IP43 Charger 12/50 (1+1)",
	0xA341: "Phoenix Smart IP43 Charger 12/50 (3)",
	0xA342: "Phoenix Smart IP43 Charger 24/25 (1+1)",
	0xA343: "Phoenix Smart IP43 Charger 24/25 (3)",
	0xA344: "Phoenix Smart IP43 Charger 12/30 (1+1)",
	0xA345: "Phoenix Smart IP43 Charger 12/30 (3)",
	0xA346: "Phoenix Smart IP43 Charger 24/16 (1+1)",
	0xA347: "Phoenix Smart IP43 Charger 24/16 (3)",
}

// phoenix returns the model of a Phoenix Inverter. The list has one pattern:
// the third digit is the size, the last the voltage of the battery, and 8 is
// added to it where 120 V come out.
func phoenix(id uint16) string {
	size, known := map[uint16]struct {
		va     int
		suffix string
		us     bool // there is one for 120 V
	}{
		0x0: {250, "", false}, // the first generation
		0x1: {375, "", false},
		0x2: {500, "", false},
		0x3: {250, "", true},
		0x4: {375, "", true},
		0x5: {500, "", true},
		0x6: {800, "", true},
		0x7: {1200, "", true},
		0x8: {1600, "", false},
		0x9: {2000, "", false},
		0xA: {3000, "", false},
		0xB: {5000, " Smart", false},
		0xE: {800, "", true},
		0xF: {1200, "", true},
	}[id>>4&0xF]
	battery, out := 0, 230
	if id&8 != 0 {
		out = 120
	}
	switch id & 7 {
	case 1:
		battery = 12
	case 2:
		battery = 24
	case 4:
		battery = 48
	}
	if !known || battery == 0 || out == 120 && !size.us {
		return ""
	}
	return fmt.Sprintf("Phoenix Inverter%s %dV %dVA %dV", size.suffix, battery, size.va, out)
}

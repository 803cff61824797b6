package simulator

import (
	"fmt"
	"time"
)

// p1Telegram writes figures as a P1 telegram of DSMR 5.
func p1Telegram(f Figures) []byte {
	b := []byte("/LNT5LINTEL-METER\r\n\r\n")
	line := func(format string, args ...any) {
		b = fmt.Appendf(b, format+"\r\n", args...)
	}
	line("1-3:0.2.8(50)")
	line("0-0:1.0.0(%s)", clock(f.Time))
	line("0-0:96.1.1(%X)", f.Serial)
	for i := range 2 {
		line("1-0:1.8.%d(%s*kWh)", i+1, thousandths(f.EnergyImport[i], 6))
	}
	for i := range 2 {
		line("1-0:2.8.%d(%s*kWh)", i+1, thousandths(f.EnergyExport[i], 6))
	}
	line("0-0:96.14.0(%04d)", f.Tariff)
	line("1-0:1.7.0(%s*kW)", thousandths(int64(f.PowerImport), 2))
	line("1-0:2.7.0(%s*kW)", thousandths(int64(f.PowerExport), 2))
	line("0-0:96.7.21(00003)")
	line("0-0:96.7.9(00001)")
	line("1-0:99.97.0(1)(0-0:96.7.19)(200315091500W)(0000000912*s)")
	for i := range 3 {
		line("1-0:%d.32.0(00000)", 32+20*i)
	}
	for i := range 3 {
		line("1-0:%d.36.0(00000)", 32+20*i)
	}
	line("0-0:96.13.0()")
	for i, v := range f.Voltage {
		line("1-0:%d.7.0(%03d.%d*V)", 32+20*i, v/10, v%10)
	}
	for i, c := range f.Current {
		line("1-0:%d.7.0(%03d.%02d*A)", 31+20*i, c/100, c%100)
	}
	for i, w := range f.PhaseImport {
		line("1-0:%d.7.0(%s*kW)", 21+20*i, thousandths(int64(w), 2))
	}
	for i, w := range f.PhaseExport {
		line("1-0:%d.7.0(%s*kW)", 22+20*i, thousandths(int64(w), 2))
	}
	line("0-1:24.1.0(003)")
	line("0-1:96.1.0(%X)", f.GasSerial)
	line("0-1:24.2.1(%s)(%s*m3)", clock(f.GasTime), thousandths(f.Gas, 5))
	b = append(b, '!')
	return fmt.Appendf(b, "%04X\r\n", crc16(crc16IBM, 0, b))
}

// thousandths writes n thousandths with three decimals and width digits before
// the point.
func thousandths(n int64, width int) string {
	return fmt.Sprintf("%0*d.%03d", width, n/1000, n%1000)
}

// clock writes a time as YYMMDDhhmmssX in Central European time, S in summer.
func clock(t time.Time) string {
	if summer(t) {
		return t.UTC().Add(2*time.Hour).Format("060102150405") + "S"
	}
	return t.UTC().Add(time.Hour).Format("060102150405") + "W"
}

// summer reports whether it is summer time in the European Union: from the last
// Sunday of March to that of October, at 01:00 UTC (directive 2000/84/EC). The
// appliance has no time zone database to ask.
func summer(t time.Time) bool {
	change := func(month time.Month) time.Time {
		last := time.Date(t.UTC().Year(), month, 31, 1, 0, 0, 0, time.UTC)
		return last.AddDate(0, 0, -int(last.Weekday()))
	}
	return !t.Before(change(time.March)) && t.Before(change(time.October))
}

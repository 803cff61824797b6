package bms

import (
	"testing"

	"lintel/serialbridge"
)

func TestDrivers(t *testing.T) {
	for protocol, driver := range map[string]serialbridge.Driver{"jkbms": JK(), "dalybms": Daly(DalyOptions{})} {
		if driver.Protocol != protocol || driver.Run == nil || len(driver.Lines) != 1 || driver.NewDecoder == nil {
			t.Errorf("%+v", driver)
		}
	}
	if err := (DalyOptions{InvertCurrent: true}).Check(); err != nil {
		t.Error(err)
	}
}

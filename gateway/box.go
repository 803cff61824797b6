package gateway

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"lintel/gateway/backup"
	"lintel/gateway/broker"
	"lintel/gateway/homeassistant"
	"lintel/hardware"
)

// identify says which box this is: by the id that is kept in the data folder, which may
// have come with a backup of another box; else by the board's serial number; else by an id
// that is made up and kept.
func identify(o Options) (homeassistant.Box, error) {
	board := hardware.ReadBoard(o.Root)
	id, err := keptID(o.Data)
	if err != nil {
		return homeassistant.Box{}, err
	}
	if id == "" {
		id = clean(board.SerialNumber)
	}
	if id == "" {
		if id, err = keepID(o.Data); err != nil {
			return homeassistant.Box{}, err
		}
	}
	model := board.Model
	if model == "" {
		model = "computer"
	}
	short := strings.ToUpper(id[max(0, len(id)-6):])
	return homeassistant.Box{ID: id, Name: "Lintel " + short, Model: model, Version: o.Version}, nil
}

// keptID reads the id that is kept; empty: none is.
func keptID(data string) (string, error) {
	text, err := os.ReadFile(filepath.Join(data, backup.IDFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	return clean(string(text)), nil
}

// keepID makes an id up.
func keepID(data string) (string, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	id := strings.ToLower(rand.Text()[:12])
	if err := renameio.WriteFile(filepath.Join(data, backup.IDFile), []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	return id, nil
}

// clean keeps what may stand in an id.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// buildBox makes what tells of the box, and what takes commands for it.
func (g *gateway) buildBox(client *broker.Client) error {
	g.box.Parts = g.parts()
	var err error
	if g.wear, err = newWear(g); err != nil {
		return err
	}
	g.vitals = newVitals(g)
	g.checkup = &checkup{g: g}
	g.commands = g.newBoxCommands(client)
	g.boxState = homeassistant.NewBoxState(homeassistant.BoxStateOptions{
		Broker: client, BaseTopic: g.config.Serial.BaseTopic, Values: g.vitals.values,
		Live: []string{homeassistant.PermitJoinSeconds}, Ready: g.documentsSent, Logger: g.log})
	if err := g.buildUpdates(); err != nil {
		return err
	}
	updates := g.o.updates
	if updates == nil && g.o.Machine != nil {
		updates = boxUpdates{g.updater}
	}
	if updates != nil {
		g.box.Parts.Updates = true
		g.boxUpdate = homeassistant.NewBoxUpdate(homeassistant.BoxUpdateOptions{
			Broker: client, BaseTopic: g.config.Serial.BaseTopic, Updates: updates, Refused: g.commands.Refuse, Logger: g.log})
	}
	return nil
}

// boxNow is the box with what has turned out since the start.
func (g *gateway) boxNow() homeassistant.Box {
	b := g.box
	b.Parts.Zigbee = g.hasZigbee.Load()
	return b
}

package modbus

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"github.com/BurntSushi/toml"
)

//go:embed maps/*.toml
var mapFiles embed.FS

// Maps returns the maps of the house, by name.
var Maps = sync.OnceValue(func() []Map {
	files, err := fs.Glob(mapFiles, "maps/*.toml")
	if err != nil {
		panic(err)
	}
	var maps []Map
	for _, file := range files {
		var m Map
		meta, err := toml.DecodeFS(mapFiles, file, &m)
		if err == nil && len(meta.Undecoded()) > 0 {
			err = fmt.Errorf("%v means nothing", meta.Undecoded())
		}
		if err != nil {
			panic(fmt.Errorf("%s: %w", file, err)) // a fault of the house that its tests see
		}
		maps = append(maps, m)
	}
	return maps
})

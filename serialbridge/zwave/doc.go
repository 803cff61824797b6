// Package zwave knows Z-Wave sticks by their USB strings, so that their owner is told
// what to do with one: Lintel does not speak Z-Wave. A controller needs security
// classes, interviews and a database of devices; Z-Wave JS has all of that, and
// Home Assistant comes with it. Its log and the stick's key belong to whoever runs
// it, so a stick is never opened here.
//
// The USB ids are those that Home Assistant's zwave_js integration looks for.
package zwave

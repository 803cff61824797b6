// Package persist is the only door to Badger: what has to survive a pulled
// plug goes through here.
package persist

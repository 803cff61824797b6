package update

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
)

// The flags of gokrazy's init: it turns the first into the second on the disk, and then
// mounts the other root in the place of the one that it was started from.
const (
	tryFlag   = "gokrazy.try_boot_inactive=1"
	triedFlag = "gokrazy.switch_on_boot=1"
)

// afterFlag is how many spaces have to stand behind tryFlag: init writes a shorter text
// over it and leaves as many bytes of the end of the file as they were.
const afterFlag = len(tryFlag) - len(triedFlag)

var (
	rootWord = regexp.MustCompile(`(?:^|[ \n])root=([^ \n]*)`)
	rootText = regexp.MustCompile(`^PARTUUID=[0-9a-fA-F-]+/PARTNROFF=([12])$`)
	// As init looks for them: anywhere.
	flagText = regexp.MustCompile(` ?gokrazy\.(?:try_boot_inactive|switch_on_boot)=1`)
)

// errRoot says that a command line is not one of those that gokrazy writes.
var errRoot = errors.New("no single root=PARTUUID=…/PARTNROFF=1 or 2 in it")

// rootAt returns where in a command line the digit stands that says which root is meant.
func rootAt(line []byte) (int, error) {
	words := rootWord.FindAllSubmatchIndex(line, 2)
	if len(words) != 1 { // of two the kernel would take the last
		return 0, errRoot
	}
	text := rootText.FindSubmatchIndex(line[words[0][2]:words[0][3]])
	if text == nil {
		return 0, errRoot
	}
	return words[0][2] + text[2], nil
}

// rootIn returns the partition that a command line, or the file of a boot loader with one
// in it, says is the root.
func rootIn(line []byte) (int, error) {
	at, err := rootAt(bytes.TrimRight(line, "\n"))
	if err != nil {
		return 0, err
	}
	return int(line[at]-'0') + 1, nil // PARTNROFF counts from partition 1
}

// withRoot returns the line with another root, and all other bytes as they were.
func withRoot(line []byte, partition int) ([]byte, error) {
	at, err := rootAt(line)
	if err != nil {
		return nil, err
	}
	if partition != rootA && partition != rootB {
		return nil, fmt.Errorf("partition %d is no root", partition)
	}
	line = bytes.Clone(line)
	line[at] = byte('0' + partition - 1)
	return line, nil
}

// checkLine says whether a command line is one line of text.
func checkLine(line []byte) error {
	for _, c := range bytes.TrimRight(line, " \t\r\n") {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("it has a byte %#02x in the middle, and is to be one line", c)
		}
	}
	_, err := rootAt(line)
	return err
}

// withoutFlags returns the line as long as it was and without flags of a trial. What
// follows the last word becomes spaces, ends of lines as well.
func withoutFlags(line []byte) []byte {
	length := len(line)
	for hasFlag(line) { // what is cut out may leave another
		line = flagText.ReplaceAll(line, nil)
	}
	return pad(line, length)
}

// withFlag returns the line as long as it was and with the flag that has init try the
// other root. If there is no room it returns how long the line has to be.
func withFlag(line []byte) (flagged []byte, need int, err error) {
	if err := checkLine(line); err != nil {
		return nil, 0, err
	}
	words := bytes.TrimRight(withoutFlags(line), " ")
	words = append(append(words, ' '), tryFlag...)
	if need := len(words) + afterFlag; need > len(line) {
		return nil, need, nil
	}
	return pad(words, len(line)), 0, nil
}

// pad makes a line as long as it is to be, with spaces at its end.
func pad(line []byte, length int) []byte {
	line = bytes.TrimRight(line, " \t\r\n")
	return append(line[:len(line):len(line)], bytes.Repeat([]byte{' '}, length-len(line))...)
}

// hasFlag says whether a flag of a trial is in the line.
func hasFlag(line []byte) bool { return flagText.Match(line) }

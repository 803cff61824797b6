package update

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Release says what a running program is. Its parts are variables of main that the
// build sets.
type Release struct {
	Version string // a label for people
	Counter int64  // orders versions; the time of the commit in seconds; 0 is a build by hand
	Board   string // name of the image: lintel, lintel-vm-arm64, lintel-vm-amd64; empty: not in an image
	Kernel  string // as uname -r tells it
	Keys    Keys   // whom the box trusts
	Feed    string // address of the release feed; empty: none
}

// boardName is what a board may be called.
var boardName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// NewRelease returns the release that the variables of a build describe: version, counter
// in decimal, board, keys as [ParseKeys] reads them, address of the feed. All but the
// version may be empty. The kernel is that of this machine.
func NewRelease(version, counter, board, keys, feed string) (Release, error) {
	r := Release{Version: version, Board: board, Feed: feed}
	var err error
	if counter != "" {
		if r.Counter, err = strconv.ParseInt(counter, 10, 64); err != nil || r.Counter < 0 {
			return Release{}, fmt.Errorf("built with counter %.40q, which is no number", counter)
		}
	}
	if board != "" && !boardName.MatchString(board) {
		return Release{}, fmt.Errorf("built for board %.80q: lower case letters, digits and - only", board)
	}
	if r.Keys, err = ParseKeys(keys); err != nil {
		return Release{}, err
	}
	if feed != "" && !isWebAddress(feed) {
		return Release{}, fmt.Errorf("built with feed %.200q, which is no http or https address", feed)
	}
	// Linux tells it here as uname does; elsewhere there are no updates.
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.Kernel = strings.TrimSpace(string(kernel))
	}
	return r, nil
}

// Judge says whether this release takes the bundle of m: nil, or a [Refusal]. now is the
// time if the clock is known to be right, else zero: then nothing has expired. room is
// how many bytes a root may have here; 0: not known.
func (r Release) Judge(m *Manifest, now time.Time, room int64) error {
	switch {
	case r.Board == "":
		return refuse(NotAnImage, "This Lintel does not run from an image of its own: update it the way it was installed.")
	case m.Board != r.Board:
		return refuse(WrongBoard, "This bundle is for %s, and this box is %s.", m.Board, r.Board)
	case m.Kernel != r.Kernel:
		return refuse(OtherKernel, "Version %s wants kernel %s, and here runs %s, which an update does not change: flash the new image onto the card; a backup keeps what the box knows.", m.Version, m.Kernel, r.Kernel)
	case m.Counter <= r.Counter:
		return refuse(OlderVersion, "Version %s (%d) is not newer than %s (%d), which runs.", m.Version, m.Counter, r.Version, r.Counter)
	case r.Counter < m.MinimumCounter:
		return refuse(BelowMinimum, "Version %s cannot follow %s (%d) directly: install a version in between first (%d or newer).", m.Version, r.Version, r.Counter, m.MinimumCounter)
	case room > 0 && m.Root.Size > room:
		return refuse(TooLarge, "The root of version %s has %d bytes, and there is room for %d.", m.Version, m.Root.Size, room)
	case !now.IsZero() && !m.Expires.IsZero() && now.After(m.Expires):
		return refuse(Expired, "Version %s was to be installed until %s: look for a newer one.", m.Version, m.Expires.UTC().Format(time.DateOnly))
	}
	return nil
}

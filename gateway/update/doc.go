// Package update keeps the program of a box up to date: it finds newer releases,
// fetches and verifies them, writes them beside what runs, tries them and goes back.
//
// # Contract
//
// What comes from outside is a bundle: a manifest with signatures, and behind it the
// root file system. [Open] verifies a signature by a trusted key before anything that
// the manifest says is believed; [Release.Judge] says whether this box takes it;
// [Bundle.Root] reads the root and fails at its end unless its hash fits. So whoever
// writes a root writes it as it comes and believes it at io.EOF only. README.md has the
// bytes of a bundle and of the files of a feed.
//
// [Machine] is the disk with its two roots, and the only one that changes it: what it
// promises when the power goes stands in README.md. [Updater] leads an update through its
// phases, one at a time, and judges a trial by what [House] says; guard ends one that
// nobody judges. [Probe] is how both ask whether the broker works.
//
// Why something is refused is a [Refusal]: a reason for the program, a sentence for
// people.
//
// Functions and methods may be called from any goroutine, those of a [Bundle], of what it
// gives and of a [Machine] by one at a time. None starts a goroutine that outlives it.
//
// Limits: a manifest has at most [MaxManifest] bytes, a root [MaxRoot], the index of a
// feed [MaxIndex]. What reads is never asked for more.
package update

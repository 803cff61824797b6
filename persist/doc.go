// Package persist is the only door to Badger: what has to survive a pulled
// plug goes through here.
//
// # Contract
//
// A [Store] holds sessions, subscriptions, queued messages, incoming QoS 2
// packet ids, retained messages and buckets. Changes are collected in a [Batch] by one
// goroutine and given away with [Store.Append], [Store.AppendSparing],
// [Store.AppendPatient] or [Store.AppendLazy], all safe for any goroutine and never
// blocking. One committer goroutine takes what waits, in the order of arrival across the lanes, encodes it
// and commits it as ONE Badger transaction with SyncWrites: that way, and no other,
// nothing that was acknowledged is lost when the power fails. A second goroutine
// then calls the done functions, so that the next commit overlaps with them.
//
// What Append is given makes a group due at once. A sparing batch waits for a few others
// for Options.Sparing, unless it is one of a row that come one after the other; a patient
// one, whose entries are all with connected clients, waits for them for Options.Patience,
// and a lazy one for others a second; with a thousand operations, or Options.Budget,
// waiting nobody waits any longer.
//
// Done functions and GroupDone may call Append, AppendLazy and Stats. They must
// not call Wait or Close, and must not wait for somebody who waits for a commit:
// a done function that blocks holds up the committer one group later.
//
// Not every change reaches the card. An entry that was deleted before its group
// closed is not written, nor is its deletion, and of several changes of one
// record in a group only the last one is written. [Stats] counts both as Elided,
// and their bytes apart, as BytesElided and BytesCoalesced.
//
// A patient batch whose entries were all deleted is done then, without a group, when
// those are done that came before it and that somebody waits for. It does not wait
// for lazy batches: a done function that promises what a lazy batch holds has to
// come with Append.
//
// A batch is atomic, unless it is larger than one transaction may be: more than
// 1000 operations or 10 % of Options.MemTableSize in bytes. Only the clean-up of
// a large session or a large set of retained messages gets there. It is then
// split, its done function called after the last part, and a crash may leave the
// first parts without the rest. So put DeleteSession first into such a batch:
// Load clears away what belongs to no session. Only the delete of an entry is
// never parted from a put of one right before it: a message that moves is always
// in one place or the other.
//
// Badger keeps what queues leave behind: deleted entries and the tombstones of them.
// A goroutine has its tables merged into one when that pays and little else is to be
// done, and has files of the value log removed that are mostly garbage: garbage.go
// says when. Close waits for a merge that is under way, since Badger cannot stop it.
// Badger's own goroutines that merge tables rest while little is written: compactors.go.
// What the memtable holds is not merged, and nothing is while all tables are in level
// 0: of a drained queue the space of about as many entries as Options.MemTableSize holds
// tombstones stays until more is written, and that of one which fits there.
//
// Times are stored so that a box may start in 1970, and its clock may jump: see
// clock.go. What ends may be Provisional when it is handed out; [Store.LookAtClock]
// tells by how much earlier it does, when that gets known.
//
// Limits: a message may have [MaxMessageSize] bytes; who feeds the store refuses
// larger ones. Options.Budget bounds the bytes that wait, by Wait; Append itself
// never refuses.
//
// After the first error of a commit the store is finished, because Badger may
// show a write that the disk does not have: Failed is closed, no done function
// is called any more, and the process has to exit and start again.
//
// # The start
//
// Badger's Open can panic in a goroutine of its own, be stopped by the kernel for a
// fault, or delete what it does not know; and it drops without a word what comes after
// the first damage in a log. So [Open] does before and after it:
//
//   - It gives up the ballast file if the disk is nearly full, and returns an error if
//     there is no room for opening even then. One for a person, too, is the error for a
//     store of a newer version, for a folder in use, and for what cannot be written.
//   - It removes logs of no length, and Badger's key registry, which is of no use here.
//   - It looks whether MANIFEST has lost tables, and in the logs which transactions
//     were committed.
//   - After a run that did not end with Close it reads all tables and compares them with
//     their checksums, and lets another process open and read everything first:
//     Options.Check. After Close the tables are read soon after the start, slowly.
//   - It compares the lsn with the anchor: a file that says what was committed, exactly
//     after Close, else as it was a minute or 1000 transactions ago, and what the logs
//     show.
//   - A store that cannot be used is put aside, whole, and another one takes its place,
//     from the last backup if there is one (Options.Restore). So is one that three
//     starts in a row failed on, within ten minutes and one boot of the machine: a start
//     ends well with Load.
//
// [Store.Report] tells what was found and what is lost. Little may be lost without
// being found: what was logged and not yet in a table, when such a log is damaged whose
// successor is in use already, and the last transaction, when the damage looks like the
// traces of a power cut in the middle of it. A table that is damaged while the store is
// closed or open, and merged with others before it was read, shows by its values only.
//
// # A full disk
//
// Badger writes through mapped files: on a full disk the kernel ends the process. So
// there is a reserve: 64 MiB (half of a disk below 128 MiB), but at least what six
// memtables and a quarter of the store take. Below it DiskLow is true, and who feeds the
// store refuses what is new; below half of it for five seconds (merging takes room for a
// moment) the store fails, and it does not open. While the disk is nearly full no store is
// put aside: what looks like damage then may be want of room.
//
// # What others keep
//
// A [Bucket] holds values of one type for everybody else: Put returns when the value
// is durable, by the same committer, and Get reads from memory.
//
// # Backups
//
// [Store.Backup] writes one consistent state of the running store to one file, with
// checksums that tell the first record that is bad; [VerifyBackup] and [Restore] read
// it. A restored store goes back to the time of its backup, see Restore for what that
// means to sessions. [Store.KeepBackups] keeps two small backups beside the folder,
// in turn; [RestoreNewest] takes the newer one that is sound. Beside the folder DIR
// stand, therefore:
//
//	DIR-backup-a, DIR-backup-b  the own backups
//	DIR-backup-new              one that is being written
//	DIR-restoring               a restore that is not complete; the next one clears it
//	DIR-before-restore          the store that the last restore replaced
//
// The format of keys and values is described in format.go, the anchor in anchor.go,
// that of backups in backup.go, the folders of a store that was put aside in
// quarantine.go.
package persist

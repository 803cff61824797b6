package persist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
)

const (
	ageMagic = "age-encryption.org/v1\n"

	// scryptWorkFactor makes a guess at the passphrase cost 64 MiB and a quarter
	// of a second of a fast machine. age's own choice takes 256 MiB, which a board
	// of 512 MB does not have to spare.
	scryptWorkFactor = 16

	// maxAgeHeader bounds what age reads before it knows the passphrase. What it
	// writes for one is below 200 bytes.
	maxAgeHeader = 16 << 10
)

// EncryptBackup returns a writer that encrypts what Backup writes to it into w.
// It has to be closed; that does not close w.
func EncryptBackup(w io.Writer, passphrase string) (io.WriteCloser, error) {
	return encryptBackup(w, passphrase, scryptWorkFactor)
}

func encryptBackup(w io.Writer, passphrase string, workFactor int) (io.WriteCloser, error) {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("persist: %w", err)
	}
	recipient.SetWorkFactor(workFactor)
	return age.Encrypt(w, recipient)
}

// DecryptBackup returns what EncryptBackup was given, for the same passphrase. What is
// not encrypted comes as it is, whatever the passphrase.
func DecryptBackup(r io.Reader, passphrase string) (io.Reader, error) {
	plain, err := decryptBackup(bufio.NewReaderSize(r, 64<<10), passphrase)
	if err != nil {
		return nil, fmt.Errorf("persist: %w", err)
	}
	return plain, nil
}

// decryptBackup returns what is in a backup, encrypted or not.
func decryptBackup(r *bufio.Reader, passphrase string) (*bufio.Reader, error) {
	if first, _ := r.Peek(len(ageMagic)); string(first) != ageMagic {
		return r, nil
	}
	if passphrase == "" {
		return nil, errors.New("this backup is encrypted: give its passphrase too")
	}
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, err
	}
	identity.SetMaxWorkFactor(scryptWorkFactor)
	header := &io.LimitedReader{R: r, N: maxAgeHeader}
	plain, err := age.Decrypt(header, identity)
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch) && slices.Contains(mismatch.StanzaTypes, "scrypt"):
		return nil, errors.New("the passphrase is wrong, or this backup is damaged in its first bytes: try another passphrase")
	case err != nil:
		return nil, fmt.Errorf("this backup cannot be decrypted: %s: if it was encrypted with other means than lintel, decrypt it with those first, else %s", oneLine(err), errUse)
	}
	header.N = 1<<63 - 1 // the header was read; the rest is bounded by its reader
	return bufio.NewReaderSize(plain, 64<<10), nil
}

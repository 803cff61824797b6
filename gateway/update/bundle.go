package update

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

const (
	// magic starts a bundle. A transfer that changes the ends of lines changes it.
	magic = "LINTEL\r\n"
	// manifestPrefix stands before a manifest where it is signed, and nowhere else.
	manifestPrefix = "lintel update manifest 1\x00"

	headSize      = len(magic) + 4 + 4
	signatureSize = keyIDSize + ed25519.SignatureSize
	// maxHead is the most that stands before a payload.
	maxHead = int64(headSize + maxSignatures*signatureSize + MaxManifest)
)

// A Bundle is a release as it is brought to a box.
type Bundle struct {
	Manifest Manifest
	Signer   KeyID // the trusted key whose signature fitted
	// HeadSize is how many bytes stand before the payload: the bundle has
	// HeadSize + Manifest.Payload.Size.
	HeadSize int64

	payload io.Reader
}

// Open reads the head of a bundle and verifies that one of the keys signed it. It fails
// with a [Refusal], or with what r failed with.
func Open(r io.Reader, keys Keys) (*Bundle, error) {
	head := make([]byte, headSize)
	if err := readHead(r, head); err != nil {
		return nil, err
	}
	if string(head[:len(magic)]) != magic {
		return nil, refuse(Malformed, "This is not a bundle of Lintel, whose name ends in .lintel.")
	}
	size := binary.BigEndian.Uint32(head[len(magic):])
	count := binary.BigEndian.Uint32(head[len(magic)+4:])
	if size == 0 || size > MaxManifest || count == 0 || count > maxSignatures {
		return nil, refuse(Malformed, "The bundle is damaged at its beginning: fetch it again.")
	}
	rest := make([]byte, int(count)*signatureSize+int(size))
	if err := readHead(r, rest); err != nil {
		return nil, err
	}
	signatures := make([]signature, count)
	for i := range signatures {
		copy(signatures[i].key[:], rest)
		copy(signatures[i].bytes[:], rest[keyIDSize:])
		rest = rest[signatureSize:]
	}
	signer, err := keys.verify("this bundle", manifestPrefix, rest, signatures)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(rest)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(m.Keys, signer) {
		return nil, refuse(BadSignature, "The bundle does not name the key %v that signed it: fetch it again.", signer)
	}
	return &Bundle{
		Manifest: *m,
		Signer:   signer,
		HeadSize: int64(headSize) + int64(count)*int64(signatureSize) + int64(size),
		payload:  r,
	}, nil
}

func readHead(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(Malformed, "The bundle ends before its contents begin: fetch it again.")
	}
	return err
}

// Root returns a reader of the root, Manifest.Root.Size bytes of it. To be called once.
// It ends with io.EOF only when the size and the hash of all that it gave fit and nothing
// stands behind it in the bundle; else with a [Refusal].
func (b *Bundle) Root() io.Reader { return newVerifier(b.payload, b.Manifest.Root) }

// A verifier reads what has to be one blob and ends with io.EOF only if it was.
type verifier struct {
	r    io.Reader
	want Blob
	left int64
	hash hash.Hash
	err  error
}

func newVerifier(r io.Reader, want Blob) *verifier {
	return &verifier{r: r, want: want, left: want.Size, hash: sha256.New()}
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if v.left == 0 {
		v.err = v.end()
		return 0, v.err
	}
	n, err := v.r.Read(p[:min(int64(len(p)), v.left)])
	v.left -= int64(n)
	v.hash.Write(p[:n])
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		if v.left > 0 {
			v.err = refuse(Malformed, "The bundle ends %d bytes too early: fetch it again.", v.left)
		}
	case err != nil:
		v.err = err
	}
	return n, v.err
}

// end says whether all was read and is right.
func (v *verifier) end() error {
	if Hash(v.hash.Sum(nil)) != v.want.SHA256 {
		return refuse(Malformed, "The contents of the bundle are damaged (SHA-256 does not fit): fetch it again.")
	}
	n, err := io.ReadFull(v.r, make([]byte, 1))
	switch {
	case n > 0:
		return refuse(Malformed, "The bundle has bytes after its end: fetch it again.")
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return err
}

// Write writes a bundle of the root, signed by all signers. Of the manifest it sets
// Format, Keys, Root and Payload. It returns the manifest that was written.
func Write(w io.Writer, m Manifest, root io.ReadSeeker, signers ...ed25519.PrivateKey) (*Manifest, error) {
	blob, err := blobOf(root)
	if err != nil {
		return nil, fmt.Errorf("read the root: %w", err)
	}
	m.Root = blob
	m.Payload = Payload{Kind: RootPayload, Blob: blob}
	if err := m.write(w, signers); err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, newVerifier(root, blob)); err != nil {
		return nil, fmt.Errorf("write the root: %w", err)
	}
	return &m, nil
}

// blobOf says what r has, and goes back to its beginning.
func blobOf(r io.ReadSeeker) (Blob, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Blob{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		return Blob{}, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Blob{}, err
	}
	return Blob{Size: n, SHA256: Hash(sum.Sum(nil))}, nil
}

// write writes the head of a bundle.
func (m *Manifest) write(w io.Writer, signers []ed25519.PrivateKey) error {
	m.Format = Format
	m.Keys = idsOf(signers)
	if err := m.check(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the manifest: %w", err)
	}
	if len(text) > MaxManifest {
		return fmt.Errorf("the manifest has %d bytes, more than %d", len(text), MaxManifest)
	}
	signatures, err := sign(manifestPrefix, text, signers)
	if err != nil {
		return err
	}
	var head bytes.Buffer
	head.WriteString(magic)
	_ = binary.Write(&head, binary.BigEndian, [2]uint32{uint32(len(text)), uint32(len(signatures))})
	for _, s := range signatures {
		head.Write(s.key[:])
		head.Write(s.bytes[:])
	}
	head.Write(text)
	_, err = w.Write(head.Bytes())
	return err
}

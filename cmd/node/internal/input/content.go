package input

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/kdht/kdht/protocol"
	"github.com/multiformats/go-multihash"
)

// Stdin is the argument that means standard input.
const Stdin = "-"

// Value reads a value from a file, or from stdin for "-". It reads no more than a
// message can hold; whether the node takes that much is the node's to say.
func Value(arg string, stdin io.Reader) ([]byte, error) {
	in, err := open(arg, stdin)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("there is no file %q; to store the text itself, write --text %q", show(arg), show(arg))
	}
	if err != nil {
		return nil, usage("cannot read the value: %v", err)
	}
	defer in.Close()
	value, err := io.ReadAll(io.LimitReader(in, protocol.MaxFrame+1))
	if err != nil {
		return nil, usage("cannot read the value: %v", err)
	}
	if len(value) > protocol.MaxFrame {
		return nil, TooLarge(int64(len(value)), protocol.MaxFrame)
	}
	return value, nil
}

// TooLarge says that a value exceeds a limit, both in bytes.
func TooLarge(size int64, limit int) error {
	more := ""
	if size > int64(limit) && size == protocol.MaxFrame+1 {
		more = " or more"
	}
	return usage("the value has %d bytes%s, at most %d are stored: keep it on a disk and announce it with `kdht provide`", size, more, limit)
}

func open(arg string, stdin io.Reader) (io.ReadCloser, error) {
	if arg == Stdin {
		return io.NopCloser(stdin), nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, plain(arg, err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; give a file", show(arg))
	}
	file, err := os.Open(arg)
	if err != nil {
		return nil, plain(arg, err)
	}
	return file, nil
}

// plain is what went wrong with a file, without the system call's name.
func plain(arg string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", show(arg), err)
}

// CID reads a content id.
func CID(text string) (cid.Cid, error) {
	if len(text) > maxArg {
		return cid.Undef, usage("%q is too long for a CID", show(text))
	}
	c, err := cid.Decode(strings.TrimPrefix(text, "/ipfs/"))
	if err != nil {
		return cid.Undef, usage("%q is no CID; write it like bafkrei…, as `kdht provide` prints it", show(text))
	}
	if len(c.Hash()) > protocol.MaxProviderKey {
		return cid.Undef, usage("the hash in %q has %d bytes, at most %d can be announced", show(text), len(c.Hash()), protocol.MaxProviderKey)
	}
	return c, nil
}

// Content reads what `provide` announces: a CID, or a file, or "-" for stdin,
// whose CID it computes (version 1, raw, SHA-256 of the bytes).
func Content(arg string, stdin io.Reader) (cid.Cid, error) {
	if arg != Stdin {
		if c, err := CID(arg); err == nil {
			return c, nil
		}
	}
	in, err := open(arg, stdin)
	if errors.Is(err, fs.ErrNotExist) {
		return cid.Undef, usage("%q is neither a CID nor a file", show(arg))
	}
	if err != nil {
		return cid.Undef, usage("cannot read the content: %v", err)
	}
	defer in.Close()
	return Sum(in)
}

// Sum returns the CID of what it reads: version 1, raw, SHA-256.
func Sum(r io.Reader) (cid.Cid, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return cid.Undef, usage("cannot read the content: %v", err)
	}
	hash, err := multihash.Encode(h.Sum(nil), multihash.SHA2_256)
	if err != nil {
		return cid.Undef, err
	}
	return cid.NewCidV1(cid.Raw, hash), nil
}

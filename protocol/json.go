package protocol
import "errors"
// JSON is the format for people.
var JSON Codec = jsonCodec{}
type jsonCodec struct{}
func (jsonCodec) Name() string { return "json" }
func (jsonCodec) Append(b []byte, m *Message) ([]byte, error) { return b, errors.New("protocol: json: not yet") }
func (jsonCodec) Decode(b []byte, m *Message) error { return errors.New("protocol: json: not yet") }
func (jsonCodec) Type(b []byte) (Type, error) { return 0, errors.New("protocol: json: not yet") }

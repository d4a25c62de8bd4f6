package protocol

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// schema is kad.proto in the terms of Google's protobuf library, against which
// the codec is checked.
var schema = func() protoreflect.MessageDescriptor {
	text, err := os.ReadFile("kad.proto")
	if err != nil {
		panic("BUG: schema: " + err.Error())
	}
	file, err := protodesc.NewFile(parseSchema(string(text)), nil)
	if err != nil {
		panic("BUG: schema: " + err.Error())
	}
	return file.Messages().ByName("Message")
}()

var schemaLine = regexp.MustCompile(`^\s*(?:(message|enum) (\w+) \{|(?:(repeated )?(\w+) )?(\w+) = (\d+);|reserved .*;|\}|syntax .*|package .*|)\s*(?://.*)?$`)

// parseSchema reads as much of the protobuf language as kad.proto needs.
func parseSchema(text string) *descriptorpb.FileDescriptorProto {
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("kad.proto"), Package: proto.String("kad"), Syntax: proto.String("proto3")}
	for _, line := range strings.Split(text, "\n") {
		f := schemaLine.FindStringSubmatch(line)
		if f == nil {
			panic("BUG: kad.proto: cannot read " + line)
		}
		number, _ := strconv.Atoi(f[6])
		switch {
		case f[1] == "message":
			file.MessageType = append(file.MessageType, &descriptorpb.DescriptorProto{Name: proto.String(f[2])})
		case f[1] == "enum":
			file.EnumType = append(file.EnumType, &descriptorpb.EnumDescriptorProto{Name: proto.String(f[2])})
		case f[4] != "":
			m := file.MessageType[len(file.MessageType)-1]
			m.Field = append(m.Field, schemaField(f[3] != "", f[4], f[5], int32(number)))
		case f[5] != "" && f[5] != "syntax":
			e := file.EnumType[len(file.EnumType)-1]
			e.Value = append(e.Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String(f[5]), Number: proto.Int32(int32(number))})
		}
	}
	return file
}

func schemaField(repeated bool, typ, name string, number int32) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(name), Number: proto.Int32(number), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if repeated {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	if n, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(typ)]; ok {
		f.Type = descriptorpb.FieldDescriptorProto_Type(n).Enum()
	} else {
		f.TypeName = proto.String(".kad." + typ)
	}
	return f
}

// The document says what the codec does.
func TestSchema(t *testing.T) {
	enums := schema.ParentFile().Enums()
	for name, want := range map[protoreflect.Name][]string{"Type": typeNames[:], "Connection": connectionNames[:]} {
		values := enums.ByName(name).Values()
		if values.Len() != len(want) {
			t.Fatalf("%s has %d values, want %d", name, values.Len(), len(want))
		}
		for i := range want {
			if v := values.ByNumber(protoreflect.EnumNumber(i)); v == nil || string(v.Name()) != want[i] {
				t.Errorf("%s %d is %v, want %s", name, i, v, want[i])
			}
		}
	}
	for name, want := range map[protoreflect.Name][]uint32{"Message": messageTags[:], "Record": recordTags[:], "Peer": peerTags[:]} {
		fields := schema.ParentFile().Messages().ByName(name).Fields()
		if fields.Len() != len(want) {
			t.Fatalf("%s has %d fields, want %d", name, fields.Len(), len(want))
		}
		for _, tag := range want {
			if fields.ByNumber(protoreflect.FieldNumber(tag>>3)) == nil {
				t.Errorf("%s has no field %d", name, tag>>3)
			}
		}
	}
}

// referenceMessage says in our terms what the reference has decoded.
func referenceMessage(d protoreflect.Message) *Message {
	get := getter(d)
	m := &Message{
		Type: Type(get("type").Enum()), Key: get("key").Bytes(), ClusterLevel: int32(get("clusterLevelRaw").Int()),
		CloserPeers: referencePeers(get("closerPeers").List()), ProviderPeers: referencePeers(get("providerPeers").List()),
		Unknown: d.GetUnknown(),
	}
	if d.Has(d.Descriptor().Fields().ByName("record")) {
		r := get("record").Message()
		get := getter(r)
		m.HasRecord = true
		m.Record = Record{Key: get("key").Bytes(), Value: get("value").Bytes(), TimeReceived: []byte(get("timeReceived").String()), Unknown: r.GetUnknown()}
	}
	return m
}

func referencePeers(list protoreflect.List) (peers []Peer) {
	for i := range list.Len() {
		d := list.Get(i).Message()
		get := getter(d)
		p := Peer{ID: get("id").Bytes(), Connection: Connection(get("connection").Enum()), Unknown: d.GetUnknown()}
		for addrs, j := get("addrs").List(), 0; j < addrs.Len(); j++ {
			p.Addrs = append(p.Addrs, addrs.Get(j).Bytes())
		}
		peers = append(peers, p)
	}
	return peers
}

func getter(d protoreflect.Message) func(name protoreflect.Name) protoreflect.Value {
	return func(name protoreflect.Name) protoreflect.Value { return d.Get(d.Descriptor().Fields().ByName(name)) }
}

// stricter reports whether err names one of the two rules by which this codec
// refuses what the reference takes: it does not nest groups deeper than 100,
// and field numbers above 2^29-1 are wrong inside unknown groups as well.
func stricter(err error) bool {
	return strings.Contains(err.Error(), reason(codeNested)) || strings.Contains(err.Error(), reason(codeNumber))
}

// checkReference decodes b here and with the reference and compares verdict,
// content and encoded form. It returns the message, nil if b is malformed.
func checkReference(t fataler, b []byte) *Message {
	t.Helper()
	d := dynamicpb.NewMessage(schema)
	wantErr := proto.Unmarshal(b, d)
	m, before := new(Message), bytes.Clone(b)
	err := Protobuf.Decode(b, m)
	if !bytes.Equal(b, before) {
		t.Fatalf("%x\nwas changed to %x", before, b)
	}
	if err != nil {
		if wantErr == nil && !stricter(err) {
			t.Fatalf("%x\nrefused: %v", b, err)
		}
		return nil
	}
	if wantErr != nil {
		t.Fatalf("%x\ntaken, the reference says %v", b, wantErr)
	}
	if n := len(m.CloserPeers) + len(m.ProviderPeers); n > freePeers+len(b)/minPeerSize {
		t.Fatalf("%d peers are kept of %d bytes", n, len(b))
	}
	want := referenceMessage(d)
	if len(want.CloserPeers)+len(want.ProviderPeers) > freePeers || countAddrs(want) > freeAddrs {
		return m // what is kept of many peers is tested elsewhere
	}
	if !equal(m, want) {
		t.Fatalf("%x\nread as %+v\nwant    %+v", b, m, want)
	}
	if capped(want) {
		return m
	}
	encoded, err := Protobuf.Append(nil, m)
	if err != nil {
		t.Fatalf("%x\nencode: %v", b, err)
	}
	wantEncoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		t.Fatalf("reference: %v", err)
	}
	if !bytes.Equal(encoded, wantEncoded) {
		t.Fatalf("%x\nencoded %x\nwant    %x", b, encoded, wantEncoded)
	}
	return m
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func countAddrs(m *Message) (n int) {
	for _, list := range [][]Peer{m.CloserPeers, m.ProviderPeers} {
		for i := range list {
			n += len(list[i].Addrs)
		}
	}
	return n
}

// capped reports whether a peer of m is too large to be sent whole.
func capped(m *Message) bool {
	for _, list := range [][]Peer{m.CloserPeers, m.ProviderPeers} {
		for i := range list {
			if n, _ := list[i].fit(); n < len(list[i].Addrs) {
				return true
			}
		}
	}
	return false
}

func TestReferenceAgreesOnVectors(t *testing.T) {
	for _, v := range vectors(t) {
		if m := checkReference(t, v.body()); (m != nil) != (v.Expect == "ok") {
			t.Errorf("%s: taken %t, expected %s", v.Name, m != nil, v.Expect)
		}
	}
}

// What the generators hardly hit.
func TestReferenceAgreesOnCorners(t *testing.T) {
	for name, body := range map[string]string{
		"records that begin with unknown fields":  "1a02" + "5801" + "1a02" + "5802",
		"records that end with unknown fields":    "1a04" + "0a00" + "5801" + "1a04" + "5802" + "0a00" + "1a00",
		"unknown, known, unknown, unknown, known": "5801" + "0805" + "5802" + "5803" + "0804" + "5804",
		"two unknown, known, unknown":             "5801" + "5802" + "0805" + "5803",
		"unknown in a record, around its key":     "1a08" + "5801" + "0a00" + "5802" + "5803",
		"unknown in a peer, around its id":        "4a0a" + "5801" + "5801" + "0a00" + "5802" + "5803",
		"a group around known fields":             "1b" + "0805" + "1c",
		"a peer as a group":                       "43" + "0a0161" + "44",
		"a tag of ten bytes":                      "88808080808080808000" + "05",
		"a tag of ten bytes with high bits":       "88808080808080808001" + "05",
		"an address of ten kilobytes":             "42848001" + "12808001" + strings.Repeat("00", 1<<14),
	} {
		if m := checkReference(t, unhex(body)); m == nil && name != "a tag of ten bytes with high bits" {
			t.Errorf("%s: refused", name)
		}
	}
}

// The two documented differences are there, and no wider than documented.
func TestStricterThanReference(t *testing.T) {
	nested := func(depth int) []byte {
		return append(bytes.Repeat([]byte{0xbb, 0x06}, depth), bytes.Repeat([]byte{0xbc, 0x06}, depth)...)
	}
	for name, test := range map[string]struct {
		body      []byte
		ours, ref bool
	}{
		"100 groups":                  {nested(maxGroups), true, true},
		"101 groups":                  {nested(maxGroups + 1), false, true},
		"largest number in a group":   {unhex("bb06f8ffffff0f01bc06"), true, true},
		"too large number in a group": {unhex("bb0680808080100" + "1bc06"), false, true},
		"too large number":            {unhex("808080801001"), false, false},
	} {
		err := Protobuf.Decode(test.body, new(Message))
		ref := proto.Unmarshal(test.body, dynamicpb.NewMessage(schema))
		if (err == nil) != test.ours || (ref == nil) != test.ref {
			t.Errorf("%s: %v, reference %v", name, err, ref)
		}
		if err != nil && !stricter(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

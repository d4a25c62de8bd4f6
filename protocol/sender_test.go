package protocol

import (
	"bytes"
	"testing"
)

// A PUT_VALUE of "/v/hello" = "world" as py-libp2p 0.8.1 sends it, without the length in front: the record carries an author (3) and
// a signature (4), the message the sender's signed peer record (11).
const pyPut = "12082f762f68656c6c6f1a790a082f762f68656c6c6f1205776f726c641a240801122044632a0c351b735f8c954f10c343ca660fef66adcb1d781c87721bc815e05ea1" +
	"22403e1ef198f74c19fd02a0454a835fd764ea7ec9ce4de86fa661de44f7f3b14cbc922d79246ee225cb8fe323cdf49d51b4b72b6306feb92642d6320172e351a101" +
	pySender

const pySender = "5ad5010a240801122044632a0c351b735f8c954f10c343ca660fef66adcb1d781c87721bc815e05ea1120203011a670a2600240801122044632a0c351b735f8c954f10c343ca660fef66adcb1d781c87721bc815e05ea1" +
	"10ef9fb09796aca7f5181a330a31047f000001060fa1a5032600240801122044632a0c351b735f8c954f10c343ca660fef66adcb1d781c87721bc815e05ea1" +
	"2a40ff60204c793cdd52509b7c323150194196f33ded5a2bd7a7982ba8ddb0933b6014c5bb6706509eb8ac3fbf67102ad1774d38596eaa280f130053c96530353403"

// The echo of py-libp2p's request keeps its record to the byte and returns nothing that only the asker may say: py-libp2p takes an
// answer with another's peer record for a refusal.
func TestEchoWithoutTheAskersRecord(t *testing.T) {
	frame := unhex(pyPut)
	var req, resp Message
	if err := Protobuf.Decode(frame, &req); err != nil {
		t.Fatal(err)
	}
	if string(req.Key) != "/v/hello" || string(req.Record.Value) != "world" || !bytes.Equal(req.Unknown, unhex(pySender)) {
		t.Fatalf("decoded as %+v", req)
	}
	resp.Echo(&req)
	echo, err := Protobuf.Append(nil, &resp)
	if err != nil {
		t.Fatal(err)
	}
	if want := frame[:len(frame)-len(unhex(pySender))]; !bytes.Equal(echo, want) {
		t.Errorf("echo %x, want %x", echo, want)
	}
}

func TestWithoutSender(t *testing.T) {
	for _, c := range []struct{ name, unknown, want string }{
		{"nothing", "", ""},
		{"alone", "5a03616263", ""},
		{"between others", "ea040241425a036162635801", "ea040241425801"},
		{"twice", "5a016158015a00", "5801"},
		{"a draft's status", "5801", "5801"},
		{"within another field", "ea04055a03616263", "ea04055a03616263"},
		{"not fields", "5a7f61", "5a7f61"},
	} {
		if got := withoutSender(unhex(c.unknown)); !bytes.Equal(got, unhex(c.want)) {
			t.Errorf("%s: %x, want %s", c.name, got, c.want)
		}
	}
}

package protocol_test

import (
	"fmt"

	"github.com/kdht/kdht/protocol"
)

// A message is encoded for a peer, and shown to a person.
func ExampleCodec() {
	ask := protocol.Message{Type: protocol.FindNode, Key: []byte("hello"), ClusterLevel: 1}
	body, err := protocol.Protobuf.Append(nil, &ask)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x\n", body)

	var got protocol.Message
	if err := protocol.Protobuf.Decode(body, &got); err != nil {
		fmt.Println(err)
		return
	}
	text, err := protocol.JSON.Append(nil, &got)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", text)
	// Output:
	// 08 04 12 05 68 65 6c 6c 6f 50 01
	// {"type":"FIND_NODE","key":"hello","clusterLevel":1}
}

// What is malformed is told with the place where it is.
func ExampleCodec_malformed() {
	var m protocol.Message
	fmt.Println(protocol.Protobuf.Decode([]byte{0x08, 0x04, 0x12, 0x05, 'h'}, &m))
	fmt.Println(protocol.JSON.Decode([]byte(`{"type":"FIND_NODES"}`), &m))
	// Output:
	// protocol: decode protobuf: field 2 at byte 2: cut short: malformed message
	// protocol: decode json: byte 20: no such name: "FIND_NODES": malformed message
}

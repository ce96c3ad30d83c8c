package protocol_test

import (
	"fmt"

	"github.com/terradourada/td/protocol"
)

// The 256 bytes that both mechanisms work on, in rows of 16.
func ExamplePayload() {
	p := protocol.Payload{
		Mode:        protocol.ModePull,
		RequestID:   protocol.RequestID{0xA0, 15: 0xAF},
		Nonce:       protocol.Nonce{0xB0, 31: 0xBF},
		EpochID:     protocol.EpochID{0xC0, 15: 0xCF},
		EpochNumber: 7,
		Seq:         1,
		IssuedAt:    1_790_000_000_000,
		TTL:         protocol.DefaultTTL,
		Policy:      3,
		Commitment:  protocol.Commitment(protocol.SmallElement(4)),
		Client:      protocol.Digest{0xD0, 31: 0xDF},
		VK:          protocol.Digest{0xE0, 31: 0xEF},
		Statement:   protocol.Digest{0xF0, 31: 0xFF},
		Instance:    protocol.InstanceID{0x10, 15: 0x1F},
	}
	b := p.Encode()
	for i := 0; i < len(b); i += 16 {
		fmt.Printf("%03d  %x\n", i, b[i:i+16])
	}
	// Output:
	// 000  54445041594c44310001000102000000
	// 016  a00000000000000000000000000000af
	// 032  b0000000000000000000000000000000
	// 048  000000000000000000000000000000bf
	// 064  c00000000000000000000000000000cf
	// 080  00000000000000070000000000000001
	// 096  000001a0c4506c000001d4c000000003
	// 112  00000000000000000000000000000000
	// 128  00000000000000000000000000000004
	// 144  d0000000000000000000000000000000
	// 160  000000000000000000000000000000df
	// 176  e0000000000000000000000000000000
	// 192  000000000000000000000000000000ef
	// 208  f0000000000000000000000000000000
	// 224  000000000000000000000000000000ff
	// 240  1000000000000000000000000000001f
}

func ExampleCanonicalize() {
	out, err := protocol.Canonicalize([]byte(`{"b": 1.50, "a": "\u00e9"}`))
	fmt.Println(string(out), err)
	_, err = protocol.Canonicalize([]byte(`{"a": 9007199254740993}`))
	fmt.Println(protocol.CodeOf(err), "-", protocol.DetailOf(err))
	// Output:
	// {"a":"é","b":1.5} <nil>
	// event_not_canonicalisable - event refused: inexact_number at byte 6
}

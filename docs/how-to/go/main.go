package main

import (
	"context"
	"encoding/json"
	"log"
	"time"

	maelstrom "github.com/jepsen-io/maelstrom/demo/go"
)

func main() {
	node := maelstrom.NewNode()
	kv := maelstrom.NewLinKV(node)

	get := func(ctx context.Context) (int, error) {
		sum, err := kv.ReadInt(ctx, "sum")
		if maelstrom.ErrorCode(err) == maelstrom.KeyDoesNotExist {
			return 0, nil
		}
		return sum, err
	}

	add := func(delta int) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		sum, err := get(ctx)
		if err != nil {
			return err
		}
		return kv.CompareAndSwap(ctx, "sum", sum, sum+delta, true)
	}

	node.Handle("add", func(msg maelstrom.Message) error {
		var body struct {
			Delta int `json:"delta"`
		}
		if err := json.Unmarshal(msg.Body, &body); err != nil {
			return err
		}
		err := add(body.Delta)
		for maelstrom.ErrorCode(err) == maelstrom.PreconditionFailed {
			err = add(body.Delta)
		}
		if err != nil {
			return err
		}
		return node.Reply(msg, map[string]any{"type": "add_ok"})
	})

	node.Handle("read", func(msg maelstrom.Message) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		sum, err := get(ctx)
		if err != nil {
			return err
		}
		return node.Reply(msg, map[string]any{"type": "read_ok", "value": sum})
	})

	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
}

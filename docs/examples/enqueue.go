// Hands a run in over AMQP and prints its id. go get github.com/rabbitmq/amqp091-go
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	amqp "github.com/rabbitmq/amqp091-go"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	connection := must(amqp.Dial("amqp://localhost"))
	defer connection.Close()
	channel := must(connection.Channel())
	if err := channel.Confirm(false); err != nil {
		log.Fatal(err)
	}
	answers := must(channel.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil))
	confirm := must(channel.PublishWithDeferredConfirm("dr.submit", "nap", true, false, amqp.Publishing{
		ContentType:  "application/json",
		MessageId:    "order-7-go", // the same id again is the same run
		ReplyTo:      "amq.rabbitmq.reply-to",
		DeliveryMode: amqp.Persistent,
		Body:         []byte(`{"inputs": {"text": "hello"}}`),
	}))
	if !must(confirm.WaitContext(context.Background())) {
		log.Fatal("the broker did not take it")
	}
	answer := <-answers
	var said struct{ ID, Detail, Advice string }
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		log.Fatal(err)
	}
	if answer.Type == "problem" {
		log.Fatalf("%s; %s", said.Detail, said.Advice)
	}
	fmt.Println(said.ID)
}

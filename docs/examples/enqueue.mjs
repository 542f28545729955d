// Hands a run in over AMQP and prints its id. npm install amqplib
import { connect } from "amqplib";

const exchange = `${process.env.NAMESPACE ?? "dr"}.submit`;
const connection = await connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createConfirmChannel();

const answered = new Promise((resolve) =>
  channel.consume("amq.rabbitmq.reply-to", resolve, { noAck: true }),
);
const order = { inputs: { text: "hello" } };
channel.publish(exchange, "nap", Buffer.from(JSON.stringify(order)), {
  contentType: "application/json",
  messageId: "order-7-js", // the same id again is the same run
  replyTo: "amq.rabbitmq.reply-to",
  persistent: true,
  mandatory: true,
});
await channel.waitForConfirms(); // the broker has it

const answer = await answered;
const said = JSON.parse(answer.content);
if (answer.properties.type === "problem") throw new Error(`${said.detail}; ${said.advice}`);
console.log(said.id);
await connection.close();

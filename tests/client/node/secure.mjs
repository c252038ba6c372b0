// kafkajs that says who it is. See tests/client/secure/README.md for the command line.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'

const { Kafka, Partitioners, logLevel } = createRequire(import.meta.url)('kafkajs')
const LIMIT_MS = 40000
const [settings, what, address, ...args] = process.argv.slice(2)
const who = JSON.parse(settings)

function sasl() {
  if (!who.protocol.startsWith('SASL')) return undefined
  if (who.jwt) return { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: readFileSync(who.jwt, 'utf8') }) }
  return { mechanism: who.mechanism.toLowerCase(), username: who.user, password: who.password }
}

function ssl() {
  if (!who.protocol.endsWith('SSL')) return false
  const own = who.certificate ? { cert: readFileSync(who.certificate), key: readFileSync(who.key) } : {}
  return { ca: [readFileSync(who.ca)], servername: 'localhost', ...own }
}

const kafka = new Kafka({
  clientId: 'kafkajs-secure', brokers: [address], logLevel: logLevel.NOTHING, ssl: ssl(), sasl: sasl(), reauthenticationThreshold: 1000,
  retry: { retries: what === 'enter' ? 0 : 5 }
})

async function withProducer(action) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  try {
    await action(value => producer.send({ topic: args[0], messages: [{ value }] }))
  } finally {
    await producer.disconnect()
  }
}

async function consume(topic, count) {
  const consumer = kafka.consumer({ groupId: `${topic}-group` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${count} records did not come`)), LIMIT_MS).unref()
    consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
    consumer.run({
      eachMessage: async ({ message }) => {
        console.log(message.value.toString())
        if (--count === 0) resolve()
      }
    }).catch(reject)
  })
  await consumer.disconnect()
}

/** One record at a time for a while on the same connection. */
const keep = seconds => withProducer(async send => {
  let sent = 0
  for (const end = Date.now() + 1000 * seconds; Date.now() < end; sent++) {
    await send(String(sent))
    await sleep(50)
  }
  console.log(sent)
})

async function enter() {
  const admin = kafka.admin()
  await admin.connect()
  await admin.listTopics()
  await admin.disconnect()
}

const actions = {
  produce: () => withProducer(async send => {
    for (const line of readFileSync(0, 'utf8').split('\n').slice(0, -1)) await send(line)
  }),
  consume: () => consume(args[0], Number(args[1])),
  keep: () => keep(Number(args[1])),
  enter
}
try {
  await actions[what]()
  process.exit(0)
} catch (error) {
  console.error([error, error.cause].filter(Boolean).map(e => e.message).join('; '))
  process.exit(1)
}

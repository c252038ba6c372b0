// kafkajs against a broker. The client comes with gzip only; snappy and lz4 are plugged in as its users do it.
import { createRequire } from 'node:module'
import {
  MIB, RUN, bootstrap, check, equal, fails, groupName, isTrue, main, noise, sameValues, skip, topicName, topicsMade,
  until, values, versionOf
} from './checks.mjs'

const require = createRequire(import.meta.url)
const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('snappyjs')

CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => snappy.compress(encoder.buffer),
  decompress: async buffer => snappy.uncompress(buffer)
})
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer)
})

const BOOTSTRAP = bootstrap()
const kafka = new Kafka({ clientId: 'kafkajs-checks', brokers: [BOOTSTRAP], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
await admin.connect()

const isError = type => error =>
  [error, error.cause, ...(error.errors ?? [])].some(e => e?.type === type || e?.originalError?.type === type)

async function make(tag, partitions = 1, config = {}) {
  const topic = topicName(tag)
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value: String(value) }))
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }]
  })
  return topic
}

const partitionsOf = async topic =>
  (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.map(p => p.partitionId).sort()

async function produce(topic, messages, { compression, acks = -1, ...config } = {}) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...config })
  await producer.connect()
  try {
    return await producer.send({ topic, messages, compression, acks })
  } finally {
    await producer.disconnect()
  }
}

const ends = async (topic, key) => (await admin.fetchTopicOffsets(topic)).reduce((sum, p) => sum + Number(p[key]), 0)

/** Every message of a topic: kafkajs consumes in groups only, so a group of one is made for it. */
let readers = 0
async function read(topic, config = {}) {
  const count = await ends(topic, 'high') - await ends(topic, 'low')
  if (count === 0) return []
  const member = await join(`read-${readers++}`, topic, config)
  try {
    await until(`${count} messages of ${topic}`, () => member.got.length >= count)
    return member.got
  } finally {
    await member.leave()
  }
}

/** A group member; @got is what it read, @owned the partitions that it has. */
async function join(tag, topic, { autoCommit = true, limit = Infinity, ...config } = {}) {
  const consumer = kafka.consumer({
    groupId: groupName(tag), heartbeatInterval: 500, sessionTimeout: 10000, rebalanceTimeout: 10000,
    maxWaitTimeInMs: 100, ...config
  })
  const member = { consumer, got: [], owned: [], leave: () => consumer.disconnect() }
  consumer.on(consumer.events.GROUP_JOIN, e => { member.owned = e.payload.memberAssignment[topic] ?? [] })
  consumer.on(consumer.events.REBALANCING, () => { member.owned = [] })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit,
    eachMessage: async ({ partition, message }) => {
      if (member.got.length < limit) member.got.push({ partition, ...message })
    }
  })
  return member
}

async function filled(tag, partitions = 1, count = 100) {
  const topic = await make(tag, partitions)
  const start = Date.now() - 3600_000
  await fill(topic, partitions, count, start)
  return { topic, start }
}

const fill = (topic, partitions, count, start = Date.now()) =>
  produce(topic, Array.from({ length: partitions }, (_, partition) =>
    values(count).map((value, i) => ({ partition, value, timestamp: String(start + i * 1000) }))).flat())

// -- cluster, topics, configuration

check('cluster', async () => {
  const got = await admin.describeCluster()
  isTrue('no cluster id', got.clusterId)
  const addresses = got.brokers.map(b => `${b.host}:${b.port}`)
  isTrue(`${BOOTSTRAP} is not among ${addresses}`, addresses.includes(BOOTSTRAP))
})

check('topic-create', async () => {
  const topic = await make('create', 3, { 'retention.ms': 123456 })
  equal('partitions', await partitionsOf(topic), [0, 1, 2])
  equal('a second create', await admin.createTopics({ topics: [{ topic }] }), false)
  const create = topic => () => admin.createTopics({ topics: [topic] })
  await fails('a bad name', isError('INVALID_TOPIC_EXCEPTION'), create({ topic: 'no/slash' }))
  await fails('30 replicas', isError('INVALID_REPLICATION_FACTOR'), create({ topic: `${RUN}-rf`, replicationFactor: 30 }))
  await admin.createTopics({ validateOnly: true, waitForLeaders: false, topics: [{ topic: `${RUN}-dry` }] })
  isTrue('validate-only made a topic', !(await admin.listTopics()).includes(`${RUN}-dry`))
})

check('topic-partitions', async () => {
  const topic = await make('grow')
  await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  await until('4 partitions', async () => (await partitionsOf(topic)).length === 4)
  await fails('shrinking', isError('INVALID_PARTITIONS'),
    () => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
  await produce(topic, [{ partition: 3, value: 'x' }])
  equal('messages', (await read(topic)).map(m => m.partition), [3])
})

async function configOf(topic) {
  const got = await admin.describeConfigs({
    includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }]
  })
  return Object.fromEntries(got.resources[0].configEntries.map(e => [e.configName, e.configValue]))
}

const alter = (topic, config) => admin.alterConfigs({
  validateOnly: false,
  resources: [{
    type: ConfigResourceTypes.TOPIC,
    name: topic,
    configEntries: Object.entries(config).map(([name, value]) => ({ name, value }))
  }]
})

check('config-describe', async () => {
  const got = await configOf(await make('cfg-describe', 1, { 'retention.ms': 123456 }))
  equal('retention.ms', got['retention.ms'], '123456')
  equal('cleanup.policy', got['cleanup.policy'], 'delete')
})

check('config-alter', async () => {
  const topic = await make('cfg-alter')
  await alter(topic, { 'retention.ms': '777000' })
  await until('altered', async () => (await configOf(topic))['retention.ms'] === '777000')
})

check('config-invalid', async () => {
  const topic = await make('cfg-bad')
  await fails('retention.ms=soon', isError('INVALID_CONFIG'), () => alter(topic, { 'retention.ms': 'soon' }))
})

// -- producing

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  check(`produce-${codec}`, async () => {
    if (codec === 'zstd') skip('kafkajs has no zstd of its own')
    const compression = {
      none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4
    }[codec]
    const topic = await make(`codec-${codec}`)
    const sent = values(300, 400)
    await produce(topic, sent.map(value => ({ value })), { compression })
    const got = await read(topic)
    sameValues(got.map(m => m.value), sent)
    equal('offsets', got.map(m => m.offset), sent.map((_, i) => String(i)))
  })
}

for (const [name, acks] of [['0', 0], ['1', 1], ['all', -1]]) {
  check(`acks-${name}`, async () => {
    const topic = await make(`acks-${name}`)
    const sent = values(100)
    await produce(topic, sent.map(value => ({ value })), { acks })
    await until('100 messages', async () => await ends(topic, 'high') === 100)
    sameValues((await read(topic)).map(m => m.value), sent)
  })
}

check('idempotent', async () => {
  const topic = await make('idempotent')
  const producer = kafka.producer({
    idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner
  })
  await producer.connect()
  const sent = values(500)
  for (let at = 0; at < sent.length; at += 50) {
    await producer.send({ topic, messages: sent.slice(at, at + 50).map(value => ({ value })) })
  }
  await producer.disconnect()
  sameValues((await read(topic)).map(m => m.value), sent)
})

check('record-shape', async () => {
  const topic = await make('shape')
  const stamp = Date.now() - 3600_000
  const bytes = noise(256)
  await produce(topic, [
    { key: 'k', value: 'v' },
    { key: 'tombstone', value: null },
    { key: Buffer.alloc(0), value: Buffer.alloc(0) },
    { value: 'no key' },
    { value: 'h', headers: { a: ['1', '2'], empty: '', '\u00fcber': bytes } }
  ].map((m, i) => ({ ...m, timestamp: String(stamp + i) })))
  const got = await read(topic)
  equal('keys', got.map(m => m.key && m.key.toString()), ['k', 'tombstone', '', null, null])
  equal('values', got.map(m => m.value && m.value.toString()), ['v', null, '', 'no key', 'h'])
  equal('timestamps', got.map(m => m.timestamp), [0, 1, 2, 3, 4].map(i => String(stamp + i)))
  const { headers } = got[4]
  equal('repeated header', headers.a.map(String), ['1', '2'])
  equal('empty header', headers.empty.length, 0)
  sameValues([headers['\u00fcber']], [bytes])
})

check('sizes', async () => {
  const topic = await make('sizes', 1, { 'max.message.bytes': 2 * MIB })
  const sent = [1, 2, 10, 127, 128, 1000, 16383, 16384, 65536, 1_000_000].map(noise)
  for (const value of sent) await produce(topic, [{ value }])
  sameValues((await read(topic)).map(m => m.value), sent)
})

check('size-10mb', async () => {
  const topic = await make('big', 1, { 'max.message.bytes': 11 * MIB })
  const sent = [noise(10 * MIB), Buffer.from('small'), noise(10 * MIB)]
  for (const value of sent) await produce(topic, [{ value }])
  sameValues((await read(topic, { maxBytesPerPartition: MIB })).map(m => m.value), sent)
}, { slow: true })

check('too-large', async () => {
  const topic = await make('too-large', 1, { 'max.message.bytes': 20000 })
  await fails('50000 bytes', isError('MESSAGE_TOO_LARGE'),
    () => produce(topic, [{ value: noise(50000) }], { retry: { retries: 0 } }))
})

check('auto-create', async () => {
  const topic = topicName('auto')
  await produce(topic, [{ value: 'first' }])
  equal('value', String((await read(topic))[0].value), 'first')
})

// -- offsets

check('seek-offset', async () => {
  const { topic } = await filled('seek')
  const member = await join('seek', topic)
  await until('all read', () => member.got.length === 100)
  member.got.length = 0
  member.consumer.seek({ topic, partition: 0, offset: '90' })
  await until('ten again', () => member.got.length === 10)
  equal('offsets', member.got.map(m => Number(m.offset)), [90, 91, 92, 93, 94, 95, 96, 97, 98, 99])
  await member.leave()
})

check('seek-time', async () => {
  const { topic, start } = await filled('time')
  for (const [at, want] of [[0, '0'], [500, '1'], [41000, '41'], [98001, '99']]) {
    equal(`offset at +${at}`, (await admin.fetchTopicOffsetsByTimestamp(topic, start + at))[0].offset, want)
  }
  // For a time after the last record kafkajs asks for the end itself.
  equal('a later time', (await admin.fetchTopicOffsetsByTimestamp(topic, start + 1e9))[0].offset, '100')
})

check('offsets-list', async () => {
  const { topic } = await filled('watermarks')
  equal('low and high', [await ends(topic, 'low'), await ends(topic, 'high')], [0, 100])
})

check('delete-records', async () => {
  const { topic } = await filled('purge')
  equal('low before', await ends(topic, 'low'), 0)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '40' }] })
  equal('low', await ends(topic, 'low'), 40)
  equal('first', (await read(topic))[0].offset, '40')
})

// -- groups

async function share(count, ...members) {
  await until(`${count} partitions shared by ${members.length}`, () => {
    const all = members.flatMap(m => m.owned)
    return members.every(m => m.owned.length > 0) && all.length === count && new Set(all).size === count
  })
}

const seenBy = (...members) => new Set(members.flatMap(m => m.got.map(r => `${r.partition}/${r.offset}`))).size

check('group-rebalance', async () => {
  const { topic } = await filled('rebalance', 6, 50)
  const a = await join('rebalance', topic)
  await share(6, a)
  const b = await join('rebalance', topic)
  await share(6, a, b)
  await fill(topic, 6, 50)
  await until('all messages seen', () => seenBy(a, b) === 600)
  await b.leave()
  await share(6, a)
  await fill(topic, 6, 1)
  await until('the late messages', () => seenBy(a, b) === 606)
  await a.leave()
})

check('group-restart', async () => {
  const { topic } = await filled('restart')
  const first = await join('restart', topic, { autoCommit: false, limit: 60 })
  await until('60 messages', () => first.got.length === 60)
  await first.consumer.commitOffsets([{ topic, partition: 0, offset: '60', metadata: 'half' }])
  await first.leave()
  const second = await join('restart', topic)
  await until('40 messages', () => second.got.length === 40)
  equal('resumed at', second.got[0].offset, '60')
  await second.leave()
  const [committed] = await admin.fetchOffsets({ groupId: groupName('restart'), topics: [topic] })
  equal('committed at the end', committed.partitions[0].offset, '100')
})

check('commit-metadata', async () => {
  const { topic } = await filled('meta')
  const member = await join('meta', topic, { autoCommit: false })
  await until('joined', () => member.owned.length === 1)
  await member.consumer.commitOffsets([{ topic, partition: 0, offset: '33', metadata: 'where I was \u2713' }])
  await member.leave()
  const [got] = await admin.fetchOffsets({ groupId: groupName('meta'), topics: [topic] })
  equal('offset and metadata', [got.partitions[0].offset, got.partitions[0].metadata], ['33', 'where I was \u2713'])
})

check('group-admin', async () => {
  const { topic } = await filled('gadmin')
  const groupId = groupName('gadmin')
  const member = await join('gadmin', topic)
  await share(1, member)
  const describe = async () => (await admin.describeGroups([groupId])).groups[0]
  const group = await describe()
  equal('state and members', [group.state, group.members.length, group.protocolType], ['Stable', 1, 'consumer'])
  isTrue('not listed', (await admin.listGroups()).groups.some(g => g.groupId === groupId))
  await fails('deleting a live group', e => e.groups?.[0]?.error?.type === 'NON_EMPTY_GROUP',
    () => admin.deleteGroups([groupId]))
  await until('all read', () => member.got.length === 100)
  await member.leave()
  await until('empty', async () => (await describe()).state === 'Empty')
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '7' }] })
  const [got] = await admin.fetchOffsets({ groupId, topics: [topic] })
  equal('offset that was set', got.partitions[0].offset, '7')
  await admin.deleteGroups([groupId])
  isTrue('still listed', !(await admin.listGroups()).groups.some(g => g.groupId === groupId))
})

check('topic-delete', async () => {
  await admin.deleteTopics({ topics: topicsMade() })
  await until('topics gone', async () => !(await admin.listTopics()).some(t => t.startsWith(RUN)))
  await fails('an unknown topic', isError('UNKNOWN_TOPIC_OR_PARTITION'),
    () => admin.deleteTopics({ topics: [`${RUN}-never`] }))
})

await main(`kafkajs ${versionOf('kafkajs')}`)

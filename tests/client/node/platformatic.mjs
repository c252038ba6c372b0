// @platformatic/kafka against a broker. Its consumer takes part in groups and reads from given offsets ("manual") as well.
import {
  Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, ProduceAcks, Producer, compressionsAlgorithms
} from '@platformatic/kafka'
import {
  MIB, RUN, bootstrap, check, equal, fails, groupName, isTrue, main, noise, sameValues, skip, topicName, topicsMade,
  until, values, versionOf
} from './checks.mjs'

const TOPIC_RESOURCE = 2
const SET = 0
const EARLIEST = -2n
const LATEST = -1n
const BOOTSTRAP = bootstrap()
const BASE = { clientId: 'platformatic-checks', bootstrapBrokers: [BOOTSTRAP], retries: 5, retryDelay: 200 }
const admin = new Admin(BASE)

/** Whether an error, or one that it wraps, is the protocol's error of this name. */
const isError = id => error =>
  error?.apiId === id || (error?.errors ?? []).some(isError(id)) || Boolean(error?.cause && isError(id)(error.cause))

async function make(tag, partitions = 1, config = {}) {
  const topic = topicName(tag)
  const configs = Object.entries(config).map(([name, value]) => ({ name, value: String(value) }))
  await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs })
  await until(`${topic} ready`, async () => (await partitionsOf(topic)) === partitions)
  return topic
}

async function partitionsOf(topic) {
  try {
    return (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic).partitionsCount
  } catch {
    return -1
  }
}

async function produce(topic, messages, options = {}) {
  const producer = new Producer({ ...BASE, ...(options.idempotent ? { idempotent: true } : {}) })
  try {
    return await producer.send({
      messages: messages.map(m => ({ topic, partition: 0, ...m })), acks: ProduceAcks.ALL, ...options
    })
  } finally {
    await producer.close()
  }
}

const offsetAt = async (topic, timestamp, partitionIndex = 0) =>
  (await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex, timestamp }] }] }))[0].partitions[0]

/** A member of a group; @got is what it read. */
async function join(tag, topic, options = {}) {
  const consumer = new Consumer({ ...BASE, groupId: groupName(tag), maxWaitTime: 100 })
  const member = {
    consumer,
    got: [],
    owned: () => (consumer.assignments ?? []).filter(a => a.topic === topic).flatMap(a => a.partitions)
  }
  member.stream = await consumer.consume({
    topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST,
    sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 500, autocommit: 100, ...options
  })
  member.stream.on('data', message => member.got.push(message))
  member.stream.on('error', error => { member.error = error })
  member.leave = () => consumer.close(true)
  return member
}

/** Every message of the partitions of a topic from given offsets on. */
let readers = 0
async function read(topic, partitions = 1, from = 0, options = {}) {
  let count = 0
  const offsets = []
  for (let partition = 0; partition < partitions; partition++) {
    offsets.push({ topic, partition, offset: BigInt(from) })
    count += Math.max(0, Number((await offsetAt(topic, LATEST, partition)).offset) - from)
  }
  if (count === 0) return []
  const member = await join(`read-${readers++}`, topic, {
    mode: MessagesStreamModes.MANUAL, offsets, autocommit: false, fallbackMode: undefined, ...options
  })
  try {
    await until(`${count} messages of ${topic}`, () => {
      if (member.error) throw member.error
      return member.got.length >= count
    })
    return member.got
  } finally {
    await member.leave()
  }
}

async function filled(tag, partitions = 1, count = 100) {
  const topic = await make(tag, partitions)
  const start = Date.now() - 3600_000
  await fill(topic, partitions, count, start)
  return { topic, start }
}

async function fill(topic, partitions, count, start = Date.now()) {
  for (let partition = 0; partition < partitions; partition++) {
    await produce(topic, values(count).map((value, i) => ({ partition, value, timestamp: BigInt(start + i * 1000) })))
  }
}

// -- cluster, topics, configuration

check('cluster', async () => {
  const got = await admin.metadata({ topics: [] })
  isTrue('no cluster id', got.id)
  const addresses = [...got.brokers.values()].map(b => `${b.host}:${b.port}`)
  isTrue(`${BOOTSTRAP} is not among ${addresses}`, addresses.includes(BOOTSTRAP))
  isTrue('the controller is no broker', got.brokers.has(got.controllerId))
})

check('topic-create', async () => {
  const topic = topicName('create')
  const [made] = await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1 })
  equal('answer', [made.name, made.partitions, made.replicas], [topic, 3, 1])
  await until('ready', async () => await partitionsOf(topic) === 3)
  const create = (name, replicas) => () => admin.createTopics({ topics: [name], partitions: 1, replicas })
  await fails('a second create', isError('TOPIC_ALREADY_EXISTS'), create(topic, 1))
  await fails('a bad name', isError('INVALID_TOPIC_EXCEPTION'), create('no/slash', 1))
  await fails('30 replicas', isError('INVALID_REPLICATION_FACTOR'), create(`${RUN}-rf`, 30))
})

check('topic-partitions', async () => {
  const topic = await make('grow')
  await admin.createPartitions({ topics: [{ name: topic, count: 4, assignments: null }] })
  await until('4 partitions', async () => await partitionsOf(topic) === 4)
  await fails('shrinking', isError('INVALID_PARTITIONS'),
    () => admin.createPartitions({ topics: [{ name: topic, count: 2, assignments: null }] }))
  await produce(topic, [{ partition: 3, value: Buffer.from('x') }])
  equal('messages', (await read(topic, 4)).map(m => m.partition), [3])
})

async function configOf(topic) {
  const [got] = await admin.describeConfigs({ resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic }] })
  return Object.fromEntries(got.configs.map(c => [c.name, c.value]))
}

const alter = (topic, name, value) => admin.incrementalAlterConfigs({
  resources: [{
    resourceType: TOPIC_RESOURCE, resourceName: topic, configs: [{ name, configOperation: SET, value }]
  }]
})

check('config-describe', async () => {
  const got = await configOf(await make('cfg-describe', 1, { 'retention.ms': 123456 }))
  equal('retention.ms', got['retention.ms'], '123456')
  equal('cleanup.policy', got['cleanup.policy'], 'delete')
})

check('config-alter', async () => {
  const topic = await make('cfg-alter')
  await alter(topic, 'retention.ms', '777000')
  await until('altered', async () => (await configOf(topic))['retention.ms'] === '777000')
})

check('config-invalid', async () => {
  const topic = await make('cfg-bad')
  await fails('retention.ms=soon', isError('INVALID_CONFIG'), () => alter(topic, 'retention.ms', 'soon'))
})

// -- producing

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  check(`produce-${codec}`, async () => {
    if (compressionsAlgorithms[codec].available === false) skip(`this release of Node.js has no ${codec}`)
    const topic = await make(`codec-${codec}`)
    const sent = values(300, 400)
    await produce(topic, sent.map(value => ({ value })), { compression: codec })
    const got = await read(topic)
    sameValues(got.map(m => m.value), sent)
    equal('offsets', got.map(m => Number(m.offset)), sent.map((_, i) => i))
  })
}

for (const [name, acks] of [['0', ProduceAcks.NO_RESPONSE], ['1', ProduceAcks.LEADER], ['all', ProduceAcks.ALL]]) {
  check(`acks-${name}`, async () => {
    const topic = await make(`acks-${name}`)
    const sent = values(100)
    await produce(topic, sent.map(value => ({ value })), { acks })
    await until('100 messages', async () => (await offsetAt(topic, LATEST)).offset === 100n)
    sameValues((await read(topic)).map(m => m.value), sent)
  })
}

check('idempotent', async () => {
  const topic = await make('idempotent')
  const producer = new Producer({ ...BASE, idempotent: true })
  const sent = values(500)
  for (let at = 0; at < sent.length; at += 50) {
    const messages = sent.slice(at, at + 50).map(value => ({ topic, partition: 0, value }))
    await producer.send({ messages, acks: ProduceAcks.ALL, idempotent: true })
  }
  await producer.close()
  sameValues((await read(topic)).map(m => m.value), sent)
})

check('record-shape', async () => {
  const topic = await make('shape')
  const stamp = Date.now() - 3600_000
  const bytes = noise(256)
  const b = text => Buffer.from(text)
  await produce(topic, [
    { key: b('k'), value: b('v') },
    { key: b('tombstone') },
    { key: b(''), value: b('') },
    { value: b('no key') },
    { value: b('h'), headers: new Map([[b('a'), b('1')], [b('a'), b('2')], [b('empty'), b('')], [b('\u00fcber'), bytes]]) }
  ].map((m, i) => ({ ...m, timestamp: BigInt(stamp + i) })))
  const got = await read(topic)
  const text = value => value == null ? null : value.toString()
  equal('keys', got.map(m => text(m.key)), ['k', 'tombstone', '', null, null])
  equal('values', got.map(m => text(m.value)), ['v', null, '', 'no key', 'h'])
  equal('timestamps', got.map(m => Number(m.timestamp)), [0, 1, 2, 3, 4].map(i => stamp + i))
  const headers = [...got[4].headers].map(([key, value]) => [String(key), value])
  equal('header names', headers.map(h => h[0]), ['a', 'a', 'empty', '\u00fcber'])
  sameValues(headers.map(h => h[1]), [b('1'), b('2'), b(''), bytes])
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
  sameValues((await read(topic, 1, 0, { maxBytesPerPartition: MIB })).map(m => m.value), sent)
}, { slow: true })

check('too-large', async () => {
  const topic = await make('too-large', 1, { 'max.message.bytes': 20000 })
  await fails('50000 bytes', isError('MESSAGE_TOO_LARGE'), () => produce(topic, [{ value: noise(50000) }]))
})

check('auto-create', async () => {
  const topic = topicName('auto')
  await produce(topic, [{ value: Buffer.from('first') }], { autocreateTopics: true })
  equal('value', String((await read(topic))[0].value), 'first')
})

// -- offsets

check('assign', async () => {
  const { topic } = await filled('assign', 3)
  const got = await read(topic, 3)
  for (let p = 0; p < 3; p++) {
    equal('offsets', got.filter(m => m.partition === p).map(m => Number(m.offset)), values(100).map((_, i) => i))
  }
})

check('seek-offset', async () => {
  const { topic } = await filled('seek')
  for (const from of [50, 99, 7, 0]) equal(`from ${from}`, Number((await read(topic, 1, from))[0].offset), from)
})

check('seek-time', async () => {
  const { topic, start } = await filled('time')
  for (const [at, want] of [[0, 0], [500, 1], [41000, 41], [98001, 99], [1e9, -1]]) {
    equal(`offset at +${at}`, Number((await offsetAt(topic, BigInt(start + at))).offset), want)
  }
})

check('offsets-list', async () => {
  const { topic } = await filled('watermarks')
  equal('earliest and latest', [(await offsetAt(topic, EARLIEST)).offset, (await offsetAt(topic, LATEST)).offset],
    [0n, 100n])
})

check('delete-records', async () => {
  const { topic } = await filled('purge')
  const got = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 40n }] }] })
  equal('low watermark', got[0].partitions[0].lowWatermark, 40n)
  equal('earliest', (await offsetAt(topic, EARLIEST)).offset, 40n)
})

check('log-dirs', async () => {
  const { topic } = await filled('dirs')
  const got = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })
  const sizes = got.flatMap(b => b.results).flatMap(d => d.topics).filter(t => t.name === topic)
    .flatMap(t => t.partitions).map(p => Number(p.partitionSize))
  isTrue(`sizes ${sizes}`, sizes.length === 1 && sizes[0] > 5000)
})

// -- groups

async function share(count, ...members) {
  await until(`${count} partitions shared by ${members.length}`, () => {
    const all = members.flatMap(m => m.owned())
    return members.every(m => m.owned().length > 0) && all.length === count && new Set(all).size === count
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
  const first = await join('restart', topic, { autocommit: false })
  await until('100 messages', () => first.got.length === 100)
  await first.consumer.commit({ offsets: [{ topic, partition: 0, offset: 60n, leaderEpoch: 0 }] })
  await first.leave()
  const second = await join('restart', topic)
  await until('40 messages', () => second.got.length === 40)
  equal('resumed at', second.got[0].offset, 60n)
  await until('committed', () => second.stream.offsetsToCommit.size === 0)
  const committed = async () => (await admin.listConsumerGroupOffsets({ groups: [groupName('restart')] }))[0]
    .topics[0].partitions[0].committedOffset
  await until('100 committed', async () => await committed() >= 99n)
  await second.leave()
})

check('group-admin', async () => {
  const { topic } = await filled('gadmin')
  const group = groupName('gadmin')
  const member = await join('gadmin', topic)
  await share(1, member)
  const describe = async () => (await admin.describeGroups({ groups: [group] })).get(group)
  const got = await describe()
  equal('state and members', [got.state, got.members.size], ['STABLE', 1])
  isTrue('not listed', (await admin.listGroups({ states: ['STABLE'] })).has(group))
  await fails('deleting a live group', isError('NON_EMPTY_GROUP'), () => admin.deleteGroups({ groups: [group] }))
  await member.leave()
  await until('empty', async () => (await describe()).state === 'EMPTY')
  await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 7n }] }] })
  const [offsets] = await admin.listConsumerGroupOffsets({ groups: [group] })
  equal('offset that was set', offsets.topics[0].partitions[0].committedOffset, 7n)
  await admin.deleteGroups({ groups: [group] })
  isTrue('still listed', !(await admin.listGroups()).has(group))
})

check('topic-delete', async () => {
  await admin.deleteTopics({ topics: topicsMade() })
  await until('topics gone', async () => !(await admin.listTopics()).some(t => t.startsWith(RUN)))
  await fails('an unknown topic', isError('UNKNOWN_TOPIC_OR_PARTITION'),
    () => admin.deleteTopics({ topics: [`${RUN}-never`] }))
})

await main(`@platformatic/kafka ${versionOf('@platformatic/kafka')}`)

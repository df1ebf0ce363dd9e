// kafkajs: its own protocol, and the most used client in JavaScript.
import { createRequire } from 'node:module'
import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import snappy from 'kafkajs-snappy'
import { bootstrap, check, COUNT, lacks, past, pastTopic, same, step, Story, topic, until, values } from './steps.mjs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs
process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
CompressionCodecs[CompressionTypes.Snappy] = snappy
// It leaves the codecs to others, and Node has this one.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => zlib.zstdCompressSync(encoder.buffer),
  decompress: async buffer => zlib.zstdDecompressSync(buffer),
})
const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', zstd: 'ZSTD' }

console.log(`version\t${createRequire(import.meta.url)('kafkajs/package.json').version}`)
const client = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING })
const admin = client.admin()
let readers = 0
await admin.connect()

await step('create a topic', create)
for (const [codec, name] of Object.entries(CODECS)) {
  await step(`produce ${codec}`, () => roundTrip(codec, {}, { compression: CompressionTypes[name] }))
}
await step('produce lz4', lacks('its lz4 is a native module that has to be compiled'))
await step('produce idempotently', () => roundTrip('idempotent', { idempotent: true, maxInFlightRequests: 1 }))
await step('commit a transaction', commits)
await step('abort a transaction', aborts)
await step('offsets in a transaction', offsetsInTransaction)
await make('group', 4)
await new Story(member, (partition, what) => write(topic('group'), partition, what)).tell()
await step('new group protocol', lacks('the client has only the classic protocol'))
await step('look up a time', looksUp)
if (pastTopic) await step('read the bucket', async () => same(await read(pastTopic, past), values(past, 'past')))
await admin.disconnect()
process.exit(0)

async function make(name, numPartitions = 1) {
  await admin.createTopics({ topics: [{ topic: topic(name), numPartitions, replicationFactor: 1 }] })
  return topic(name)
}

async function create() {
  const wanted = { topic: topic('created'), numPartitions: 3, replicationFactor: 1 }
  wanted.configEntries = [{ name: 'retention.ms', value: '86400000' }]
  check(await admin.createTopics({ topics: [wanted] }), 'it was there already')
  const { topics } = await admin.fetchTopicMetadata({ topics: [wanted.topic] })
  check(topics[0].partitions.length === 3, 'not three partitions')
  check(!(await admin.createTopics({ topics: [wanted] })), 'a topic could be created twice')
}

async function roundTrip(name, options, more = {}) {
  await make(name)
  await write(topic(name), 0, values(), options, more)
  same(await read(topic(name), COUNT), values())
}

function messages(partition, what, first) {
  const timestamp = n => (first ? { timestamp: String(first + 1000 * n) } : {})
  return what.map((value, n) => ({ partition, key: 'key', value, ...timestamp(n) }))
}

async function write(name, partition, what, options = {}, more = {}, first = 0) {
  const producer = client.producer(options)
  await producer.connect()
  await producer.send({ topic: name, acks: -1, messages: messages(partition, what, first), ...more })
  await producer.disconnect()
}

// It has no reading without a group: one of its own each time.
async function read(name, count, readUncommitted = false) {
  const consumer = client.consumer({ groupId: `${topic('reader')}-${readers++}`, readUncommitted })
  const found = []
  await consumer.connect()
  await consumer.subscribe({ topic: name, fromBeginning: true })
  const eachMessage = async ({ message, partition }) => partition === 0 && found.push(message.value.toString())
  await consumer.run({ autoCommit: false, eachMessage })
  try {
    await until(`${count} records of ${name}`, () => found.length >= count)
  } finally {
    await consumer.disconnect()
  }
  return found.slice(0, count)
}

async function transactional(name) {
  const producer = client.producer({ transactionalId: topic(name), idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  return producer
}

async function commits() {
  const name = await make('committed')
  const producer = await transactional('commits')
  for (const half of [values().slice(0, 30), values().slice(30)]) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: name, messages: messages(0, half) })
    await transaction.commit()
  }
  await producer.disconnect()
  same(await read(name, COUNT), values())
}

async function aborts() {
  const name = await make('aborted')
  const producer = await transactional('aborts')
  for (const kind of ['aborted', 'value']) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: name, messages: messages(0, values(5, kind)) })
    await (kind === 'value' ? transaction.commit() : transaction.abort())
  }
  await producer.disconnect()
  same(await read(name, 5), values(5))
  same(await read(name, 10, true), [...values(5, 'aborted'), ...values(5)])
}

async function offsetsInTransaction() {
  const source = await make('source')
  const target = await make('target')
  const consumerGroupId = topic('eos')
  await write(source, 0, values(10))
  const producer = await transactional('offsets')
  for (const offset of [4, 7]) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: target, messages: messages(0, values(offset)) })
    const topics = [{ topic: source, partitions: [{ partition: 0, offset: String(offset) }] }]
    await transaction.sendOffsets({ consumerGroupId, topics })
    await (offset === 7 ? transaction.commit() : transaction.abort())
  }
  await producer.disconnect()
  // The answer to the end of a transaction does not wait for its markers, and this asks without waiting for them.
  await until('the committed offset', async () => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: consumerGroupId, topics: [source] })
    check(partitions[0].offset !== '4', 'the offset of an aborted transaction is there')
    return partitions[0].offset === '7'
  })
  same(await read(target, 7), values(7))
}

async function member(read) {
  const name = topic('group')
  const consumer = client.consumer({ groupId: name, heartbeatInterval: 500, rebalanceTimeout: 10000 })
  const next = new Map()
  let held = []
  await consumer.connect()
  await consumer.subscribe({ topic: name, fromBeginning: true })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    held = payload.memberAssignment[name] ?? []
    next.clear()
  })
  const eachMessage = async ({ partition, message }) => {
    next.set(partition, String(Number(message.offset) + 1))
    read.push(message.value.toString())
  }
  await consumer.run({ autoCommit: false, eachMessage })
  return {
    held: () => held,
    commit: () => consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic: name, partition, offset }))),
    close: () => consumer.disconnect(),
  }
}

async function looksUp() {
  const name = await make('time')
  const first = Date.now() - 60_000
  await write(name, 0, values(10), {}, {}, first)
  for (const [after, expected] of [[3500, '4'], [0, '0'], [3_600_000, '10']]) {
    // The client itself turns 'none' into the end.
    const [found] = await admin.fetchTopicOffsetsByTimestamp(name, first + after)
    check(found.offset === expected, `${after} ms: ${found.offset}, not ${expected}`)
  }
}

// @platformatic/kafka: its own protocol, and no way back to topic names where topic ids are told.
import { readFileSync } from 'node:fs'
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { bootstrap, check, CODECS, COUNT, past, pastTopic, same, step, Story, topic, until, values } from './steps.mjs'

const about = new URL('node_modules/@platformatic/kafka/package.json', import.meta.url)
console.log(`version\t${JSON.parse(readFileSync(about)).version}`)
const base = { clientId: 'matrix', bootstrapBrokers: [bootstrap] }
const admin = new Admin(base)
let readers = 0

await step('create a topic', create)
for (const codec of CODECS) await step(`produce ${codec}`, () => roundTrip(codec, { compression: codec }))
await step('produce idempotently', () => roundTrip('idempotent', { idempotent: true }))
await step('commit a transaction', commits)
await step('abort a transaction', aborts)
await step('offsets in a transaction', offsetsInTransaction)
await make('group', 4)
await new Story(read => member('group', read), (partition, what) => write(topic('group'), partition, what)).tell()
await step('new group protocol', async () => {
  await make('group2', 4)
  const options = { groupProtocol: 'consumer' }
  await new Story(read => member('group2', read, options), (partition, what) => write(topic('group2'), partition, what)).whole()
})
await step('look up a time', looksUp)
if (pastTopic) await step('read the bucket', async () => same(await read(pastTopic, past), values(past, 'past')))
process.exit(0)

async function make(name, partitions = 1) {
  await admin.createTopics({ topics: [topic(name)], partitions, replicas: 1 })
  return topic(name)
}

async function create() {
  const wanted = { topics: [topic('created')], partitions: 3, replicas: 1 }
  const [made] = await admin.createTopics({ ...wanted, configs: [{ name: 'retention.ms', value: '86400000' }] })
  check(made.partitions === 3, `${made.partitions} partitions, not 3`)
  const again = await admin.createTopics(wanted).then(() => null, error => error)
  check(again?.findBy?.('apiId', 'TOPIC_ALREADY_EXISTS'), `creating it twice: ${again?.message}`)
}

function messages(name, partition, what, first) {
  const timestamp = n => (first ? { timestamp: BigInt(first + 1000 * n) } : {})
  return what.map((value, n) => ({ topic: name, partition, key: 'key', value, ...timestamp(n) }))
}

async function roundTrip(name, options) {
  await make(name)
  await write(topic(name), 0, values(), options)
  same(await read(topic(name), COUNT), values())
}

async function write(name, partition, what, options = {}, first = 0) {
  const producer = new Producer({ ...base, serializers: stringSerializers })
  await producer.send({ messages: messages(name, partition, what, first), acks: -1, ...options })
  await producer.close()
}

async function read(name, count, isolationLevel = 1) {
  const consumer = new Consumer({ ...base, groupId: `${topic('reader')}-${readers++}`, deserializers: stringDeserializers, isolationLevel })
  const found = []
  try {
    const stream = await consumer.consume({ topics: [name], mode: 'earliest', autocommit: false, maxWaitTime: 200, isolationLevel })
    stream.on('data', message => found.push(message.value))
    let failed
    stream.on('error', error => { failed = error })
    await until(`${count} records of ${name}`, () => {
      if (failed) throw failed
      return found.length >= count
    })
  } finally {
    await consumer.close(true)
  }
  return found.slice(0, count)
}

function transactional(name) {
  return new Producer({ ...base, serializers: stringSerializers, transactionalId: topic(name), idempotent: true })
}

async function commits() {
  const name = await make('committed')
  const producer = transactional('commits')
  for (const half of [values().slice(0, 30), values().slice(30)]) {
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: messages(name, 0, half) })
    await transaction.commit()
  }
  await producer.close()
  same(await read(name, COUNT), values())
}

async function aborts() {
  const name = await make('aborted')
  const producer = transactional('aborts')
  for (const kind of ['aborted', 'value']) {
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: messages(name, 0, values(5, kind)) })
    await (kind === 'value' ? transaction.commit() : transaction.abort())
  }
  await producer.close()
  same(await read(name, 5), values(5))
  same(await read(name, 10, 0), [...values(5, 'aborted'), ...values(5)])
}

async function offsetsInTransaction() {
  const source = await make('source')
  const target = await make('target')
  await write(source, 0, values(10))
  const producer = transactional('offsets')
  const consumer = new Consumer({ ...base, groupId: topic('eos'), deserializers: stringDeserializers })
  const stream = await consumer.consume({ topics: [source], mode: 'committed', fallbackMode: 'earliest', autocommit: false, maxWaitTime: 200 })
  const found = []
  stream.on('data', message => found.push(message))
  await until('ten records', () => found.length === 10)
  for (const offset of [4, 7]) {
    const transaction = await producer.beginTransaction()
    await transaction.addConsumer(consumer)
    await transaction.send({ messages: messages(target, 0, values(offset)) })
    await transaction.addOffset(found[offset - 1])
    await (offset === 7 ? transaction.commit() : transaction.abort())
  }
  await producer.close()
  await until('the committed offset', async () => {
    const committed = await consumer.listCommittedOffsets({ topics: [{ topic: source, partitions: [0] }] })
    const [at] = committed.get(source)
    check(at !== 4n, 'the offset of an aborted transaction is there')
    return at === 7n
  })
  await consumer.close(true)
  same(await read(target, 7), values(7))
}

async function member(name, read, options = { heartbeatInterval: 500, rebalanceTimeout: 10000, sessionTimeout: 10000 }) {
  const consumer = new Consumer({ ...base, groupId: topic(name), deserializers: stringDeserializers, ...options })
  const next = new Map()
  const stream = await consumer.consume({ topics: [topic(name)], mode: 'committed', fallbackMode: 'earliest', autocommit: false, maxWaitTime: 100 })
  stream.on('error', error => console.error(error))
  stream.on('data', message => {
    next.set(message.partition, message.offset + 1n)
    read.push(message.value)
  })
  return {
    held: () => consumer.assignments?.flatMap(each => each.partitions) ?? [],
    commit: () => {
      const held = consumer.assignments.flatMap(each => each.partitions)
      const offsets = [...next].filter(([partition]) => held.includes(partition))
      return consumer.commit({ offsets: offsets.map(([partition, offset]) => ({ topic: topic(name), partition, offset, leaderEpoch: -1 })) })
    },
    close: () => consumer.close(true),
  }
}

async function looksUp() {
  const name = await make('time')
  const first = Date.now() - 60_000
  await write(name, 0, values(10), {}, first)
  const consumer = new Consumer({ ...base, groupId: topic('times') })
  for (const [after, expected] of [[3500, 4n], [0, 0n], [3_600_000, -1n]]) {
    const found = await consumer.listOffsets({ topics: [name], timestamp: BigInt(first + after) })
    check(found.get(name)[0] === expected, `${after} ms: ${found.get(name)[0]}, not ${expected}`)
  }
  await consumer.close()
}

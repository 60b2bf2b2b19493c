// KafkaJS against a broker: see README.md above for the steps.
//
// usage: client.js BOOTSTRAP NAME     (NODE_PATH names the node_modules with kafkajs)
'use strict'

const assert = require('node:assert')
const { randomBytes } = require('node:crypto')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const zstd = require('@bokuweb/zstd-wasm')

const [bootstrap, topic] = process.argv.slice(2)
const group = `${topic}-group`
const PARTITIONS = 6
const PER_CODEC = 40 // records of each codec in each partition
const STEP_LIMIT_MS = 30_000
const BASE_MS = Date.now() - 3_600_000
const STEP_MS = 1000 // between the timestamps of one partition

// KafkaJS brings gzip only; the others are plug-ins.
CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const kafka = new Kafka({
  clientId: topic,
  brokers: [bootstrap],
  logLevel: logLevel.ERROR,
  logCreator: () => ({ log }) => process.stderr.write(`${log.message} ${log.error ?? ''}\n`),
})
const admin = kafka.admin()
let failed = false

/** Runs one step and prints its line. */
async function step(name, run) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${STEP_LIMIT_MS} ms`)), STEP_LIMIT_MS)
  })
  try {
    await Promise.race([run(), limit])
    console.log(`ok ${name}`)
  } catch (error) {
    failed = true
    console.log(`FAIL ${name}: ${error.name} ${error.message}`.replace(/\s+/g, ' ').slice(0, 400))
  } finally {
    clearTimeout(timer)
  }
}

/** Polls until the condition holds. */
async function within(condition, what) {
  const until = Date.now() + STEP_LIMIT_MS - 2000
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`not in time: ${what()}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** The protocol's name of the error that a call is refused with. */
async function refused(promise) {
  try {
    await promise
  } catch (error) {
    return error.type ?? error.errors?.[0]?.type ?? error.groups?.[0]?.error?.type ?? error.message
  }
  return null
}

const all = [...Array(PARTITIONS).keys()]
const ends = all.map(() => 0) // by partition: offset of the next record
const sent = all.map(() => []) // by partition: the records, their index is their offset

function makeRecord(partition) {
  const offset = sent[partition].length
  const kind = offset % 10
  const record = {
    partition,
    key: kind === 7 ? null : Buffer.from(`key-${partition}-${offset}`),
    value: kind === 3 ? null : randomBytes(kind === 4 ? 0 : kind === 9 ? 50_000 : 1 + (offset * 37) % 600),
    headers: { twice: [Buffer.from('1'), Buffer.from('2')], empty: Buffer.alloc(0), bytes: Buffer.from([0, 128, 255]) },
    timestamp: String(BASE_MS + offset * STEP_MS),
  }
  sent[partition].push(record)
  return record
}

function check(partition, message) {
  const record = sent[partition][Number(message.offset)]
  const { key, value, headers, timestamp } = message
  const { key: sentKey, value: sentValue, headers: sentHeaders, timestamp: sentTimestamp } = record
  assert.deepStrictEqual(
    { key, value, headers: { ...headers }, timestamp },
    { key: sentKey, value: sentValue, headers: sentHeaders, timestamp: sentTimestamp },
    `partition ${partition} offset ${message.offset}`
  )
}

/** `count` records to each partition, idempotent; each partition's part must get the offset that is next. */
async function produce(codec, count) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    for (let done = 0; done < count; done += 10) {
      const messages = all.flatMap(partition => Array.from({ length: 10 }, () => makeRecord(partition)))
      const answers = await producer.send({ topic, acks: -1, compression: CODECS[codec], messages })
      for (const answer of answers) assert.strictEqual(Number(answer.baseOffset), ends[answer.partition], 'base offset')
      for (const partition of all) ends[partition] += 10
    }
  } finally {
    await producer.disconnect()
  }
}

/** A member that commits each batch behind it. What all members share is in `Member.committed` and so on. */
class Member {
  static committed = new Map()
  static delivered = new Set()
  static problems = []

  constructor(groupId = group, fromBeginning = true) {
    this.held = []
    this.fromBeginning = fromBeginning
    this.consumer = kafka.consumer({
      groupId,
      sessionTimeout: 10_000,
      rebalanceTimeout: 10_000,
      heartbeatInterval: 300,
      maxWaitTimeInMs: 200,
    })
    const { GROUP_JOIN, REBALANCING, CRASH } = this.consumer.events
    this.consumer.on(GROUP_JOIN, ({ payload }) => { this.held = payload.memberAssignment[topic] ?? [] })
    this.consumer.on(REBALANCING, () => { this.held = [] })
    this.consumer.on(CRASH, ({ payload }) => Member.problems.push(`crash: ${payload.error.message}`))
  }

  async join() {
    await this.consumer.connect()
    await this.consumer.subscribe({ topic, fromBeginning: this.fromBeginning })
    await this.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: payload => this.take(payload),
    })
    return this
  }

  async take({ batch: { partition, messages }, resolveOffset, heartbeat, isRunning, isStale }) {
    let next
    for (const message of messages) {
      if (!isRunning() || isStale()) break
      const offset = Number(message.offset)
      const floor = Member.committed.get(partition) ?? 0
      if (offset < floor) Member.problems.push(`${partition}/${offset} again, ${floor} was committed`)
      if (next !== undefined && offset !== next) Member.problems.push(`${partition}/${offset} where ${next} is next`)
      try {
        check(partition, message)
      } catch (error) {
        Member.problems.push(error.message)
      }
      Member.delivered.add(`${partition}/${offset}`)
      resolveOffset(message.offset)
      next = offset + 1
    }
    if (next !== undefined) await this.commit(partition, next)
    await heartbeat()
  }

  async commit(partition, offset) {
    try {
      await this.consumer.commitOffsets([{ topic, partition, offset: String(offset) }])
      Member.committed.set(partition, offset)
    } catch (error) {
      // A rebalance overtook the commit: it did not happen, so what it named may be delivered again.
      if (!['ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID'].includes(error.type)) throw error
    }
  }

  leave() {
    return this.consumer.disconnect()
  }
}

function spread(members) {
  const held = members.flatMap(member => member.held)
  const even = members.every(member => member.held.length === PARTITIONS / members.length)
  return even && held.length === PARTITIONS && new Set(held).size === PARTITIONS
}

async function caughtUp(members) {
  const total = ends.reduce((sum, end) => sum + end)
  await within(() => spread(members) || Member.problems.length, () => `spread ${JSON.stringify(members.map(m => m.held))}`)
  await within(() => Member.delivered.size === total || Member.problems.length, () => `${Member.delivered.size} of ${total}`)
  const isCommitted = () => ends.every((end, partition) => Member.committed.get(partition) === end)
  await within(() => isCommitted() || Member.problems.length, () => `committed ${[...Member.committed]} of ${ends}`)
  assert.deepStrictEqual(Member.problems, [])
}

async function create() {
  const request = { topics: [{ topic, numPartitions: PARTITIONS, configEntries: [{ name: 'retention.ms', value: '86400000' }] }] }
  assert.strictEqual(await admin.createTopics({ ...request, waitForLeaders: true }), true)
  assert.strictEqual(await admin.createTopics(request), false, 'created again')
}

async function describe() {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  assert.strictEqual(topics[0].partitions.filter(p => p.leader >= 0).length, PARTITIONS)
  const cluster = await admin.describeCluster()
  assert.ok(cluster.clusterId && cluster.brokers.length >= 1)
}

async function read() {
  const reader = kafka.consumer({ groupId: `${topic}-read`, maxWaitTimeInMs: 200 })
  const next = all.map(() => 0)
  let problem
  await reader.connect()
  try {
    await reader.subscribe({ topic, fromBeginning: true })
    await reader.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        try {
          assert.strictEqual(Number(message.offset), next[partition], `offset in partition ${partition}`)
          check(partition, message)
        } catch (error) {
          problem ??= error
        }
        next[partition] += 1
      },
    })
    await within(() => problem || next.every((offset, p) => offset === ends[p]), () => `read ${next} of ${ends}`)
    if (problem) throw problem
  } finally {
    await reader.disconnect()
  }
}

async function offsets() {
  for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
    assert.deepStrictEqual([partition, Number(low), Number(high)], [partition, 0, ends[partition]])
  }
  for (const wanted of [0, 1, 57, ends[0] - 1]) {
    const answer = await admin.fetchTopicOffsetsByTimestamp(topic, BASE_MS + wanted * STEP_MS - STEP_MS / 2)
    assert.deepStrictEqual(answer.map(({ offset }) => Number(offset)), all.map(() => wanted), 'by time')
  }
}

async function list() {
  assert.ok((await admin.listTopics()).includes(topic))
}

async function config() {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const value = async () => {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ ...resource, configNames: ['retention.ms'] }] })
    return resources[0].configEntries[0].configValue
  }
  assert.strictEqual(await value(), '86400000', 'as created')
  const alter = text => admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: text }] }] })
  await alter('7200000')
  await within(async () => (await value()) === '7200000', () => 'the altered retention.ms')
  assert.strictEqual(await refused(alter('soon')), 'INVALID_CONFIG')
}

async function groupDescribe() {
  const { groups } = await admin.describeGroups([group])
  assert.strictEqual(groups[0].state, 'Stable')
  assert.strictEqual(groups[0].members.length, 3)
  assert.ok((await admin.listGroups()).groups.some(({ groupId }) => groupId === group), 'the group is not listed')
  assert.strictEqual(await refused(admin.deleteGroups([group])), 'NON_EMPTY_GROUP', 'deleted while in use')
}

async function groupOffsets() {
  const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
  const committed = all.map(partition => Number(answer.partitions.find(p => p.partition === partition).offset))
  assert.deepStrictEqual(committed, ends, 'committed')
}

/** A new member reads exactly these records from the group's commits on. */
async function consumeRest(expected) {
  Member.delivered.clear()
  const member = await new Member(group, false).join()
  try {
    await within(() => Member.delivered.size >= expected.length, () => `${Member.delivered.size} of ${expected.length}`)
  } finally {
    await member.leave()
  }
  assert.deepStrictEqual([...Member.delivered].sort(), expected.sort())
  assert.deepStrictEqual(Member.problems, [])
}

async function resume() {
  const before = [...ends]
  await produce('zstd', 10)
  await consumeRest(all.flatMap(p => [...Array(ends[p] - before[p]).keys()].map(i => `${p}/${before[p] + i}`)))
}

async function rewind() {
  const partitions = all.map(partition => ({ partition, offset: String(ends[partition] - 3) }))
  await admin.setOffsets({ groupId: group, topic, partitions })
  for (const partition of all) Member.committed.set(partition, ends[partition] - 3)
  await consumeRest(all.flatMap(p => [3, 2, 1].map(back => `${p}/${ends[p] - back}`)))
}

async function grow() {
  await admin.createPartitions({ topicPartitions: [{ topic, count: PARTITIONS + 2 }] })
  await within(async () => {
    // A new partition's owner may not know it yet; KafkaJS does not retry that by itself.
    const answer = await refused(admin.fetchTopicOffsets(topic).then(({ length }) => assert.strictEqual(length, PARTITIONS + 2)))
    return answer === null
  }, () => 'eight partitions')
}

async function deleteRecords() {
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '100' }, { partition: 1, offset: '-1' }] })
  const low = (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition).map(p => Number(p.low))
  assert.deepStrictEqual(low.slice(0, 3), [100, ends[1], 0])
}

async function deleteGroup() {
  await admin.deleteGroups([group])
  assert.ok(!(await admin.listGroups()).groups.some(({ groupId }) => groupId === group), 'the group is still listed')
}

async function deleteTopic() {
  await admin.deleteTopics({ topics: [topic] })
  await within(async () => !(await admin.listTopics()).includes(topic), () => 'the topic is gone')
}

async function main() {
  await zstd.init()
  await admin.connect()
  await step('create', create)
  await step('describe', describe)
  for (const codec of Object.keys(CODECS)) await step(`produce.${codec}`, () => produce(codec, PER_CODEC))
  await step('read', read)
  await step('offsets', offsets)
  await step('list', list)
  await step('config', config)
  const members = [new Member(), new Member(), new Member()]
  await step('group.join', async () => {
    await Promise.all(members.map(member => member.join()))
    await caughtUp(members)
  })
  await step('group.leave', async () => {
    await members.pop().leave()
    await produce('gzip', 10)
    await caughtUp(members)
  })
  await step('group.rejoin', async () => {
    members.push(await new Member().join())
    await produce('lz4', 10)
    await caughtUp(members)
  })
  await step('group.describe', groupDescribe)
  await step('group.close', () => Promise.all(members.map(member => member.leave())))
  await step('group.offsets', groupOffsets)
  await step('resume', resume)
  await step('rewind', rewind)
  await step('partitions', grow)
  await step('delete-records', deleteRecords)
  await step('delete-group', deleteGroup)
  await step('delete-topic', deleteTopic)
  await admin.disconnect()
}

main().then(
  () => process.exit(failed ? 1 : 0),
  error => {
    console.log(`FAIL client: ${error.stack}`)
    process.exit(1)
  }
)

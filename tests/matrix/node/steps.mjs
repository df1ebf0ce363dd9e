// What the programs in JavaScript share: how a step is reported, and the story of a group with two members.
import { setTimeout as pause } from 'node:timers/promises'

export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
export const COUNT = 60
export const SECONDS = 40

const [bootstrap, prefix, pastTopic, pastCount] = process.argv.slice(2)
export { bootstrap, pastTopic }
export const past = Number(pastCount)

// A topic's name that no other client uses.
export const topic = name => `${prefix}-${name}`

// Thrown by a step that the client has nothing for.
export class NotApplicable extends Error {}

export const lacks = why => async () => {
  throw new NotApplicable(why)
}

// Runs one step, if it is asked for, and prints how it ended.
export async function step(name, work) {
  if (!(process.env.MATRIX_STEPS ?? '').split(',').some(part => name.includes(part))) return
  try {
    await bounded(work(), name)
    console.log(`ok\t${name}\t`)
  } catch (error) {
    if (error instanceof NotApplicable) {
      console.log(`n/a\t${name}\t${error.message}`)
      return
    }
    console.error(error)
    const causes = [error, error.cause, ...(error.errors ?? [])].filter(Boolean)
    console.log(`fail\t${name}\t${causes.map(each => each.message).join(': ').replace(/\s+/g, ' ')}`)
  }
}

// A promise that nobody keeps must not hold up the others.
function bounded(work, name) {
  let clock
  const late = new Promise((_, fail) => {
    clock = setTimeout(() => fail(new Error(`${name} took longer than ${3 * SECONDS} s`)), 3 * SECONDS * 1000)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(clock))
}

export function check(holds, message) {
  if (!holds) throw new Error(message)
}

// Returns once `condition` is true.
export async function until(what, condition) {
  const deadline = Date.now() + SECONDS * 1000
  while (!(await condition())) {
    check(Date.now() < deadline, `waited ${SECONDS} s for ${what}`)
    await pause(20)
  }
}

// What is written: the same every time, and worth compressing.
export function values(count = COUNT, kind = 'value') {
  return Array.from({ length: count }, (_, n) => `${kind}-${String(n).padStart(6, '0')}-${'x'.repeat(100)}`)
}

// Fails with the first difference between what was read and what was written.
export function same(found, expected) {
  for (let n = 0; n < Math.max(found.length, expected.length); n++) {
    check(found[n] === expected[n], `record ${n}: read ${found[n]?.slice(0, 40)}, written was ${expected[n]?.slice(0, 40)}; ${found.length} read`)
  }
}

// Two members share four partitions, one leaves, the other is restarted. `member(values)` makes a member that puts what
// it reads into `values`, with `held()`, `commit()` and `close()`; `produce(partition, values)` writes.
export class Story {
  constructor(member, produce) {
    this.newMember = member
    this.produce = produce
    this.members = []
    this.read = []
  }

  async tell() {
    await step('two members share', () => this.twoShare())
    await step('one member leaves', () => this.oneLeaves())
    await step('resume from the commit', () => this.resumes())
    await this.close().catch(() => {})
  }

  async whole() {
    try {
      await this.twoShare()
      await this.oneLeaves()
      await this.resumes()
    } finally {
      await this.close().catch(() => {})
    }
  }

  async twoShare() {
    const written = await this.#write('first', 10)
    this.members = await Promise.all([this.newMember(this.read), this.newMember(this.read)])
    const shared = () => {
      const held = this.members.map(each => each.held())
      return held.every(each => each.length === 2) && new Set(held.flat()).size === 4
    }
    await until('two partitions for each', shared)
    // Read by whom they were given to: so both have something to commit for each of their partitions.
    written.push(...(await this.#write('shared', 5)))
    await until('all records', () => this.#has(written))
  }

  async oneLeaves() {
    check(this.members.length === 2, 'there are no two members')
    for (const each of this.members) await each.commit()
    await this.members.pop().close()
    this.read.length = 0
    const written = await this.#write('second', 5)
    await until('all partitions and records for one', () => this.members[0].held().length === 4 && this.#has(written))
    this.#only('second')
  }

  async resumes() {
    check(this.members.length === 1, 'there is no single member')
    await this.members[0].commit()
    await this.members.pop().close()
    this.read.length = 0
    const written = await this.#write('third', 3)
    this.members = [await this.newMember(this.read)]
    await until('the new records', () => this.#has(written))
    await this.members[0].commit()
    await this.close()
    this.#only('third')
    check(new Set(this.read).size === this.read.length, 'a record came twice')
  }

  async close() {
    const members = this.members
    this.members = []
    for (const each of members) await each.close()
  }

  async #write(kind, count) {
    const written = []
    for (const partition of [0, 1, 2, 3]) {
      const made = values(count, `${kind}-${partition}`)
      await this.produce(partition, made)
      written.push(...made)
    }
    return written
  }

  #has(written) {
    const read = new Set(this.read)
    return written.every(value => read.has(value))
  }

  #only(kind) {
    const old = this.read.filter(value => !value.startsWith(kind))
    check(old.length === 0, `${old.length} committed records were read again, ${old[0]?.slice(0, 20)}`)
  }
}

// The register of named checks that the Node.js client programs of this suite share.
//
// Each check prints one line: "ok NAME", "not ok NAME: why" or "skip NAME: why". Lines that begin with "# " are remarks;
// the first names the client and its version. This module knows no Kafka client.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'

export const MIB = 1 << 20
export const RUN = 't' + randomBytes(3).toString('hex')
const LIMIT_S = 90

const entries = []
const topics = []

class Skip extends Error {}

/** End the check as one that does not apply to this client. */
export function skip(why) {
  throw new Skip(why)
}

export function check(name, fn, { slow = false } = {}) {
  entries.push({ name, fn, slow })
}

/** A topic name of this run, remembered for the last check, which deletes them all. */
export function topicName(tag) {
  const name = `${RUN}-${tag}`
  if (!topics.includes(name)) topics.push(name)
  return name
}

export const topicsMade = () => [...topics]
export const groupName = tag => `${RUN}-group-${tag}`
export const noise = size => randomBytes(size)
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Distinct values, half noise and half repeats, so that a codec has something to do. */
export function values(count, size = 100) {
  return Array.from({ length: count }, (_, i) => {
    const out = Buffer.alloc(size, 'a')
    const head = Buffer.from(`${String(i).padStart(8, '0')}:`)
    const sum = createHash('sha256').update(head).digest()
    head.copy(out)
    for (let at = head.length; at < size / 2; at++) out[at] = sum[at % sum.length]
    return out
  })
}

const brief = value => {
  const text = inspect(value, { depth: 4, breakLength: Infinity, maxArrayLength: 20, maxStringLength: 120 })
  return text.length < 240 ? text : `${text.slice(0, 160)}... (${text.length} characters)`
}

export function equal(what, got, want) {
  const same = Buffer.isBuffer(got) && Buffer.isBuffer(want)
    ? got.equals(want)
    : inspect(got, { depth: 6, maxArrayLength: null }) === inspect(want, { depth: 6, maxArrayLength: null })
  if (!same) throw new Error(`${what}: got ${brief(got)}, expected ${brief(want)}`)
}

export function isTrue(what, fact) {
  if (!fact) throw new Error(what)
}

/** Two lists of buffers must be the same, bit by bit. */
export function sameValues(got, want) {
  equal('number of values', got.length, want.length)
  want.forEach((value, i) => isTrue(`value ${i} differs (${got[i]?.length} bytes, expected ${value.length})`,
    Buffer.compare(got[i], value) === 0))
}

/** The call must fail with an error for which @match holds. */
export async function fails(what, match, fn) {
  try {
    await fn()
  } catch (error) {
    isTrue(`${what}: ${text(error)}`, match(error))
    return
  }
  throw new Error(`${what}: no error`)
}

export async function until(what, fact, limitS = 40) {
  const deadline = Date.now() + limitS * 1000
  for (;;) {
    const got = await fact()
    if (got) return got
    isTrue(`${what}: not so after ${limitS} s`, Date.now() < deadline)
    await sleep(50)
  }
}

function text(error) {
  const parts = [error?.message ?? String(error), ...(error?.errors ?? []).map(text)]
  if (error?.cause) parts.push(text(error.cause))
  return parts.join('; ').replace(/\s+/g, ' ').slice(0, 500)
}

async function runOne({ name, fn }) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_S} s`)), LIMIT_S * 1000)
  })
  try {
    await Promise.race([fn(), late])
    return `ok ${name}`
  } catch (error) {
    if (error instanceof Skip) return `skip ${name}: ${error.message}`
    if (process.env.CHECKS_TRACE) console.error(error)
    return `not ok ${name}: ${text(error)}`
  } finally {
    clearTimeout(timer)
  }
}

export function bootstrap() {
  if (process.argv.length < 3) {
    console.error(`usage: ${process.argv[1]} HOST:PORT [CHECK...]`)
    process.exit(2)
  }
  return process.argv[2]
}

/** The version of an installed package. */
export function versionOf(name) {
  return JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))).version
}

export async function main(title) {
  console.log(`# ${title} (Node.js ${process.versions.node})`)
  const only = process.argv.slice(3)
  const quick = process.env.CHECKS_QUICK === '1'
  let status = 0
  // A client's own background work may fail after its check has; that must not end the program.
  process.on('unhandledRejection', error => console.error('unhandled rejection:', text(error)))
  process.on('uncaughtException', error => console.error('uncaught exception:', text(error)))
  for (const entry of entries) {
    if (only.length > 0 ? !only.includes(entry.name) : entry.slow && quick) continue
    const began = Date.now()
    const line = await runOne(entry)
    console.log(line)
    console.log(`# ${entry.name} took ${((Date.now() - began) / 1000).toFixed(2)} s`)
    if (line.startsWith('not ok')) status = 1
  }
  process.exit(status)
}

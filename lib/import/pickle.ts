// Reads the part of Python's pickle format that PyTorch writes for a dictionary of tensors. It runs no code: a name of Python stands for
// one of the few values below, and any other name is an error.

/** A value of Python that stays what it is: a class or function by its name. */
export class Name {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** The reference to a value that is kept outside of the pickle. */
export class Persistent {
  readonly id: unknown

  constructor(id: unknown) {
    this.id = id
  }
}

/** What is wrong with a pickle. */
export class PickleError extends Error {}

/** Calls a function of Python: its name and arguments. @throws PickleError. */
export type Call = (name: string, args: readonly unknown[]) => unknown

/** More values than any model has. */
const mostValues = 2 ** 24

const mark = Symbol('mark')

/** The value of a pickle. Dictionaries become maps, lists and tuples arrays. @throws PickleError. */
export function parsePickle(bytes: Uint8Array, call: Call): unknown {
  return new Machine(bytes, call).run()
}

class Machine {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #call: Call
  readonly #stack: unknown[] = []
  readonly #memo = new Map<number, unknown>()
  #at = 0

  constructor(bytes: Uint8Array, call: Call) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#call = call
  }

  run(): unknown {
    for (let values = 0; ; values += 1) {
      if (values > mostValues) throw new PickleError(`expected at most ${mostValues} values, found more`)
      const code = this.#view.getUint8(this.#take(1))
      if (code === 0x2e) return this.#pop() // STOP
      const step = steps[code]
      if (step === undefined) throw new PickleError(`found an instruction that tensors do not need, 0x${code.toString(16)}`)
      step(this)
    }
  }

  push(value: unknown): void {
    this.#stack.push(value)
  }

  pop(): unknown {
    return this.#pop()
  }

  /** The values since the last mark. */
  marked(): unknown[] {
    const at = this.#stack.lastIndexOf(mark)
    if (at < 0) throw new PickleError('found the end of a list that did not begin')
    const values = this.#stack.splice(at)
    return values.slice(1)
  }

  mark(): void {
    this.#stack.push(mark)
  }

  uint(bytes: 1 | 2 | 4): number {
    const at = this.#take(bytes)
    return bytes === 1 ? this.#view.getUint8(at) : bytes === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true)
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true)
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false)
  }

  /** A whole number of `length` bytes, in two's complement. */
  long(length: number): number {
    const at = this.#take(length)
    let value = 0n
    for (let i = length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(this.#bytes[at + i] ?? 0)
    return Number(BigInt.asIntN(8 * length, value))
  }

  ignore(length: number): void {
    this.#take(length)
  }

  text(length: number): string {
    const at = this.#take(length)
    return utf8.decode(this.#bytes.subarray(at, at + length))
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw new PickleError('it ends within a name')
    const text = utf8.decode(this.#bytes.subarray(this.#at, end))
    this.#at = end + 1
    return text
  }

  keep(index: number): void {
    this.#memo.set(index, this.#stack.at(-1))
  }

  keepNext(): void {
    this.keep(this.#memo.size)
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) throw new PickleError(`found no value number ${index}`)
    this.#stack.push(this.#memo.get(index))
  }

  reduce(): void {
    const args = this.#pop()
    const callee = this.#pop()
    if (!(callee instanceof Name) || !Array.isArray(args)) throw new PickleError('found a call of what is no function')
    this.#stack.push(this.#call(callee.name, args))
  }

  /** Sets pairs of a dictionary, which is on top of the stack. */
  set(pairs: readonly unknown[]): void {
    const target = this.#stack.at(-1)
    if (!(target instanceof Map)) throw new PickleError('found pairs without a dictionary')
    for (let i = 0; i + 1 < pairs.length; i += 2) target.set(pairs[i], pairs[i + 1])
  }

  append(values: readonly unknown[]): void {
    const target = this.#stack.at(-1)
    if (!Array.isArray(target)) throw new PickleError('found values without a list')
    for (const value of values) target.push(value)
  }

  #pop(): unknown {
    const value = this.#stack.pop()
    if (value === undefined || value === mark) throw new PickleError('found fewer values than an instruction needs')
    return value
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length) throw new PickleError('it is cut short')
    this.#at = at + length
    return at
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The instructions, by their bytes. None of Python's that makes an object of a class is among them. */
const steps: Readonly<Record<number, (machine: Machine) => void>> = {
  128: (m) => m.ignore(1), // PROTO
  149: (m) => m.ignore(8), // FRAME
  40: (m) => m.mark(), // MARK
  48: (m) => void m.pop(), // POP
  78: (m) => m.push(null), // NONE
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  74: (m) => m.push(m.int32()), // BININT
  75: (m) => m.push(m.uint(1)), // BININT1
  77: (m) => m.push(m.uint(2)), // BININT2
  138: (m) => m.push(m.long(m.uint(1))), // LONG1
  71: (m) => m.push(m.float64()), // BINFLOAT
  88: (m) => m.push(m.text(m.uint(4))), // BINUNICODE
  140: (m) => m.push(m.text(m.uint(1))), // SHORT_BINUNICODE
  93: (m) => m.push([]), // EMPTY_LIST
  41: (m) => m.push([]), // EMPTY_TUPLE
  125: (m) => m.push(new Map()), // EMPTY_DICT
  133: (m) => m.push([m.pop()]), // TUPLE1
  134: (m) => m.push([m.pop(), m.pop()].reverse()), // TUPLE2
  135: (m) => m.push([m.pop(), m.pop(), m.pop()].reverse()), // TUPLE3
  116: (m) => m.push(m.marked()), // TUPLE
  108: (m) => m.push(m.marked()), // LIST
  97: (m) => m.append([m.pop()]), // APPEND
  101: (m) => m.append(m.marked()), // APPENDS
  115: (m) => m.set([m.pop(), m.pop()].reverse()), // SETITEM
  117: (m) => m.set(m.marked()), // SETITEMS
  113: (m) => m.keep(m.uint(1)), // BINPUT
  114: (m) => m.keep(m.uint(4)), // LONG_BINPUT
  148: (m) => m.keepNext(), // MEMOIZE
  104: (m) => m.recall(m.uint(1)), // BINGET
  106: (m) => m.recall(m.uint(4)), // LONG_BINGET
  99: (m) => m.push(new Name(`${m.line()}.${m.line()}`)), // GLOBAL
  147: (m) => m.push(new Name([m.pop(), m.pop()].reverse().join('.'))), // STACK_GLOBAL
  81: (m) => m.push(new Persistent(m.pop())), // BINPERSID
  82: (m) => m.reduce(), // REDUCE
  98: (m) => void m.pop(), // BUILD: the attributes of a dictionary, such as versions
}

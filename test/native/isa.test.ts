// Which kernels a plan runs on: the best of the machine, the environment's choice, or the option's, which wins.
import { afterEach, expect, it } from 'vitest'

import { binding, denseProgram } from './programs.js'

afterEach(() => {
  delete process.env.MULTIGATE_CPU_ISA
})

const isaOf = (isa?: string) => {
  const plan = binding.compile('cpu', denseProgram(), isa === undefined ? {} : { isa })
  try {
    return plan.info(1).isa
  } finally {
    plan.dispose()
  }
}

it('is the best one by default', () => {
  expect(isaOf()).toBe(binding.isas()[0])
})

it.each(binding.isas())('%s can be forced by the option and by MULTIGATE_CPU_ISA', (isa) => {
  expect(isaOf(isa)).toBe(isa)
  process.env.MULTIGATE_CPU_ISA = isa
  expect(isaOf()).toBe(isa)
})

it('the option wins over the environment', () => {
  process.env.MULTIGATE_CPU_ISA = binding.isas()[0]
  expect(isaOf('scalar')).toBe('scalar')
})

it('an unknown one is an error that lists what this machine runs', () => {
  const listed = expect.objectContaining({
    code: 'ERR_MULTIGATE_UNSUPPORTED',
    message: expect.stringContaining(binding.isas().join(' ')),
  })
  expect(() => isaOf('avx1024')).toThrow(listed)
  process.env.MULTIGATE_CPU_ISA = 'avx1024'
  expect(() => isaOf()).toThrow(listed)
})

it('precisions are float32 and bfloat16, emulated where there are no instructions for it; others are errors that say so', () => {
  const emulated = (precision?: string, isa = 'scalar') => {
    const plan = binding.compile('cpu', denseProgram(), { isa, ...(precision !== undefined && { precision }) } as object)
    try {
      return plan.info(1).emulated
    } finally {
      plan.dispose()
    }
  }
  expect([emulated(), emulated('float32'), emulated('bfloat16')]).toEqual([false, false, true])
  for (const isa of binding.isas()) expect(emulated('bfloat16', isa)).toBe(!isa.endsWith('bf16'))
  expect(() => emulated('float16')).toThrow(/options\.precision.*float16.*bfloat16/)
  expect(() => emulated('tf32')).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_UNSUPPORTED' }))
})

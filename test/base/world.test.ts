/** The port to clocks, timers and chance. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { setWorld, sleep, type Timer, type World, world } from '../../src/base/world.js'

const real = world

afterEach(() => vi.useRealTimers())

describe('the world of a process', () => {
  test('has the clocks, the timers and the chance of Node', async () => {
    expect(Math.abs(world.now() - Date.now() / 1000)).toBeLessThan(60)
    expect(world.monotonic()).toBeLessThanOrEqual(performance.now())
    expect(new Set(Array.from({ length: 100 }, () => world.random())).size).toBeGreaterThan(90)
    expect(world.bytes(7)).toHaveLength(7)
    expect(world.id()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/)
    const told: string[] = []
    const cancelled = world.after(1, () => told.push('cancelled'))
    world.cancel(cancelled)
    world.cancel(undefined)
    await new Promise<void>((resolve) => world.after(2, resolve))
    await new Promise<void>((resolve) => world.soon(resolve))
    expect(told).toEqual([])
  })

  test('can be replaced, and comes back', () => {
    const other: World = { ...real, random: () => 0.5 }
    const leave = setWorld(other)
    expect(world.random()).toBe(0.5)
    leave()
    expect(world).toBe(real)
  })
})

describe('sleep', () => {
  test('ends when its time has come, and with the reason of its signal before', async () => {
    vi.useFakeTimers()
    const ended = sleep(1000)
    await vi.advanceTimersByTimeAsync(1000)
    await ended
    const stop = new AbortController()
    const stopped = sleep(1000, stop.signal)
    stop.abort(new Error('enough'))
    await expect(stopped).rejects.toThrow('enough')
    await expect(sleep(1000, stop.signal)).rejects.toThrow('enough')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('leaves no listener behind', async () => {
    const timers: (() => void)[] = []
    const leave = setWorld({
      ...real,
      after: (_, call): Timer => {
        timers.push(call)
        return { unref: () => undefined }
      }
    })
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    const slept = sleep(5, signal)
    timers[0]?.()
    await slept
    expect(remove).toHaveBeenCalledOnce()
    leave()
  })
})

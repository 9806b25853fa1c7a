// @ts-check
/**
 * Writes a screenshot of Chromium again with at most 256 colours, in about a quarter of its bytes. The page has few colours;
 * those of the smoothed edges of letters become the nearest that is kept.
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const MAX_COLOURS = 256
/** The surfaces and texts of the page, which keep their colours exactly. */
const EXACT = 32

/** @param {Buffer} png as Chromium writes it: 8 bits a channel, RGB or RGBA, not interlaced */
export function reduce(png) {
  const { width, height, channels, data } = parse(png)
  const pixels = unfilter(inflateSync(data), width * channels, height, channels)
  const { palette, indexOf } = chooseColours(pixels, channels)
  const rows = Buffer.alloc(height * (width + 1))
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = indexOf(pixels, (y * width + x) * channels)
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 3, 0, 0, 0], 8)
  const body = deflateSync(rows, { level: 9, memLevel: 9 })
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255]))),
    chunk('IDAT', body),
    chunk('IEND', Buffer.alloc(0))
  ])
}

/** Pixels. @param {Buffer} png */
export function sizeOf(png) {
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20) }
}

/** @param {Buffer} png */
function parse(png) {
  const [depth, type, , , interlaced] = png.subarray(24, 29)
  if (depth !== 8 || (type !== 2 && type !== 6) || interlaced !== 0)
    throw new Error(`Expected a PNG with 8 bits of RGB or RGBA, and got depth ${depth}, type ${type}.`)
  const parts = []
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length))
    at += length + 12
  }
  return { ...sizeOf(png), channels: type === 2 ? 3 : 4, data: Buffer.concat(parts) }
}

/** RFC 2083 §6. @param {Buffer} raw @param {number} stride bytes of a row @param {number} height @param {number} size bytes of a pixel */
function unfilter(raw, stride, height, size) {
  const out = Buffer.alloc(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)] ?? 0
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x
      const left = x < size ? 0 : (out[at - size] ?? 0)
      const up = y === 0 ? 0 : (out[at - stride] ?? 0)
      const corner = x < size || y === 0 ? 0 : (out[at - stride - size] ?? 0)
      const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0
      out[at] = ((raw[y * (stride + 1) + 1 + x] ?? 0) + predicted) & 255
    }
  }
  return out
}

/** @param {number} left @param {number} up @param {number} corner */
function paeth(left, up, corner) {
  const estimate = left + up - corner
  const [a, b, c] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - corner)]
  if (a <= b && a <= c) return left
  return b <= c ? up : corner
}

/** @param {Buffer} pixels @param {number} channels */
function chooseColours(pixels, channels) {
  /** @type {Map<number, number>} */
  const counts = new Map()
  /** @param {Buffer} from @param {number} at */
  const colourAt = (from, at) => from.readUIntBE(at, 3)
  for (let at = 0; at < pixels.length; at += channels) {
    const colour = colourAt(pixels, at)
    counts.set(colour, (counts.get(colour) ?? 0) + 1)
  }
  const frequentFirst = [...counts].sort(([, a], [, b]) => b - a).map(([colour]) => colour)
  const palette = spread(frequentFirst)
  const indexes = new Map(palette.map((colour, index) => [colour, index]))
  /** @param {Buffer} from @param {number} at */
  const indexOf = (from, at) => {
    const colour = colourAt(from, at)
    let index = indexes.get(colour)
    if (index === undefined) {
      index = nearest(palette, colour)
      indexes.set(colour, index)
    }
    return index
  }
  return { palette, indexOf }
}

/**
 * The most frequent colours, then those that are not near a more frequent one: a rare colour that is like no other is kept.
 *
 * @param {readonly number[]} frequentFirst
 */
function spread(frequentFirst) {
  for (let least = 4; ; least += 2) {
    const palette = frequentFirst.slice(0, EXACT)
    for (const colour of frequentFirst.slice(EXACT)) {
      if (palette.every((one) => distance(one, colour) > least ** 2)) palette.push(colour)
      if (palette.length > MAX_COLOURS) break
    }
    if (palette.length <= MAX_COLOURS) return palette
  }
}

/** @param {readonly number[]} palette @param {number} colour */
function nearest(palette, colour) {
  const distances = palette.map((one) => distance(one, colour))
  return distances.indexOf(Math.min(...distances))
}

/** Squared. @param {number} a @param {number} b */
function distance(a, b) {
  const [red, green, blue] = [16, 8, 0].map((shift) => ((a >> shift) & 255) - ((b >> shift) & 255))
  return (red ?? 0) ** 2 + (green ?? 0) ** 2 + (blue ?? 0) ** 2
}

/** @param {string} type @param {Buffer} data */
function chunk(type, data) {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const content = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(content))
  return Buffer.concat([length, content, sum])
}

// @ts-check
/** @param {ArrayLike<number> & Iterable<number>} values */
export function median(values) {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** Median absolute deviation: half of the values are nearer to the median than this. @param {readonly number[]} values */
export function deviation(values) {
  const middle = median(values)
  return median(values.map((value) => Math.abs(value - middle)))
}

/** Pairs from the same rounds, divided. @param {readonly number[]} above @param {readonly number[]} below */
export const ratios = (above, below) => above.map((value, i) => value / (below[i] ?? Number.NaN))

/** Three significant digits, and no more of what nobody measured. @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 3)).replace(/\B(?=(\d{3})+(?!\d))/g, digits > 0 ? '' : ' ')
}

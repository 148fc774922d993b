// Scores must not depend on where a program runs: what is read of a moment is its text in UTC.
import { expect, test } from 'vitest'

import { Dataset } from '../../lib/index.js'

test('a moment with a time zone is read as UTC, wherever this runs', async () => {
  process.env.TZ = 'America/New_York' // a file of its own: it is looked at once in a process
  const moments = await Dataset.fromQuery("SELECT TIMESTAMPTZ '2024-03-31 00:30:00' AS at")
  expect(moments.column('at')).toMatchObject({ dictionary: ['2024-03-31 00:30:00'] })
})

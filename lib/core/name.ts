// Names of features and tasks. They are often column names, so almost any text is allowed.

import { z } from 'zod'

/** Results are objects by name, and `__proto__` is not an ordinary key of an object. */
export const nameSchema = z
  .string()
  .min(1)
  .refine(
    (name) => name !== '__proto__',
    "expected any name but '__proto__'; choose another name, and give the column with 'column' or 'label'",
  )

// Names of features and tasks: any text, for they are often those of columns.

import { z } from 'zod'

/** Results are objects by name, and an object has one key that is none. */
export const nameSchema = z
  .string()
  .min(1)
  .refine((name) => name !== '__proto__', "expected any name but '__proto__'; say which column it reads with 'column' or 'label'")

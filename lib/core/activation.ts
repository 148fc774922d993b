// Activations by name and by their number in the ABI (mg_activation in native/abi/multigate.h).

/** Activation names and their numbers in a program. */
export const activationCodes = { linear: 0, relu: 1, tanh: 2, sigmoid: 3, gelu: 4, swish: 5 } as const

/** `relu` has gradient 0 at 0. `gelu` is the exact form (erf). `swish` is z sigmoid(z). */
export type Activation = keyof typeof activationCodes

export const activationNames = Object.keys(activationCodes) as readonly Activation[]

/** Whether the derivative needs the pre-activation. For the others the output is enough. */
export function needsPreActivation(activation: Activation): boolean {
  return activation === 'gelu' || activation === 'swish'
}

import { homedir } from 'node:os'
import { join } from 'node:path'

/** PIN latches of this machine's user: a wrong PIN counts from whatever folder it is tried again. */
export const latchDir = (): string => join(homedir(), '.holdfast', 'pin-latches')

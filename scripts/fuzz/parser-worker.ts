import { parentPort, workerData } from 'node:worker_threads'
import { fuzzParser } from './parser.ts'

// Millions of refusals are made and read by nobody; their stacks are most of the work.
Error.stackTraceLimit = 0

const report = await fuzzParser(workerData as { seed: number; count: number })
parentPort?.postMessage(report, [])

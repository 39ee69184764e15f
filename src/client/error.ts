import type { ProblemCode, ProblemView } from '../api/problem.ts'

/** The service answered, and not with success. `problem` is null where the answer is not of its making. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly problem: ProblemView | null

  constructor(status: number, problem: ProblemView | null) {
    super(problem?.detail ?? `answered ${status} without a problem document`)
    this.status = status
    this.problem = problem
  }

  get code(): ProblemCode | null {
    return this.problem?.code ?? null
  }
}

/** No answer: no connection, no answer in time, or one that is not what the service gives. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError'
}

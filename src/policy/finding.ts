/** A rule that an operation breaks: its stable id, and what to do about it. */
export type Finding = { readonly rule: string; readonly message: string }

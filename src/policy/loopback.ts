/** Whether what is said to this host of a URL (IPv6 in brackets) stays on this machine. */
export function isLoopbackName(hostname: string): boolean {
  return /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/.test(hostname)
}

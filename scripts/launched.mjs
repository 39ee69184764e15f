// Loaded first into a program that launch.mjs runs: without its launcher nobody could stop it, and a
// service would keep its port. So a launcher that was killed counts as SIGTERM.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// The channel itself is no reason to go on when the program is done.
process.channel?.unref()

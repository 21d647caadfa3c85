// Drives octopus-deploy: one job as JSON in argv, one line of JSON out: what the client made of it.
// Its command line packs files itself; this calls what that command calls, with a package of ours.
'use strict'

const fs = require('fs')
const path = require('path')
const { initializeApi, octopusApi } = require('octopus-deploy')

const job = JSON.parse(process.argv[2])
console.info = console.log = console.error // The client reports on stdout; that is ours.

async function run () {
  initializeApi({ host: job.url, apiKey: job.apiKey })
  const spaces = await octopusApi.spaces.findAll()
  const space = spaces.valueOrDefault([]).find(item => item.name === job.space)
  if (!space) throw new Error(`space ${job.space} not found`)
  initializeApi({ host: job.url, apiKey: job.apiKey, spaceId: space.id })
  if (job.operation === 'spaces') return [space.name]
  return Promise.all(job.files.map(async file => {
    const stored = await octopusApi.packages.create(path.basename(file), fs.readFileSync(file), job.mode === 'OverwriteExisting')
    if (!stored.hasValue) throw new Error('the package was not published')
    return stored.value.hash
  }))
}

run().then(
  result => process.stdout.write(JSON.stringify({ ok: true, result }) + '\n'),
  error => process.stdout.write(JSON.stringify({ ok: false, status: null, error: error.message }) + '\n')
)

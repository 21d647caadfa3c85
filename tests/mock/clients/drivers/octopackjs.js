// Drives @octopusdeploy/octopackjs: one job as JSON in argv, one line of JSON out: what the client made of it.
'use strict'

const octo = require('@octopusdeploy/octopackjs')

const job = JSON.parse(process.argv[2])

function push (file) {
  const options = { apikey: job.apiKey, host: job.url, replace: job.mode === 'OverwriteExisting' }
  if (job.space) options.spaceId = job.space
  return new Promise((resolve, reject) => {
    octo.push(file, options, (error, body) => (error ? reject(error) : resolve(body.Hash)))
  })
}

Promise.all(job.files.map(push)).then(
  result => console.log(JSON.stringify({ ok: true, result })),
  error => console.log(JSON.stringify({ ok: false, status: error.statusCode ?? null, error: JSON.stringify(error.body ?? error.message) }))
)

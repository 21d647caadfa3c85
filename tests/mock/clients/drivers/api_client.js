// Drives @octopusdeploy/api-client: one job as JSON in argv, one line of JSON out: what the client made of it.
'use strict'

const { Client, PackageRepository, SpaceRepository, userGetCurrent } = require('@octopusdeploy/api-client')

async function run (job) {
  const client = await Client.create({ instanceURL: job.url, apiKey: job.apiKey, userAgentApp: 'mocknode-tests' })
  const packages = new PackageRepository(client, job.space)
  switch (job.operation) {
    case 'spaces': {
      const page = await new SpaceRepository(client).list({ partialName: job.space, take: 100 })
      return page.Items.map(space => space.Name)
    }
    case 'push':
      await packages.push(job.files, job.mode)
      return job.files.length
    case 'packages': {
      const page = await packages.list({ nuGetPackageId: job.packageId, take: 100 })
      return page.Items.map(item => [item.Id, item.Hash])
    }
    case 'package':
      return (await packages.get(job.packageId)).Hash
    case 'user':
      return (await userGetCurrent(client)).Username
    default:
      throw new Error(`no operation ${job.operation}`)
  }
}

// The connection of a push stays open, and referenced, for as long as the server keeps it: end without waiting for that.
const say = outcome => process.stdout.write(JSON.stringify(outcome) + '\n', () => process.exit(0))

run(JSON.parse(process.argv[2])).then(
  result => say({ ok: true, result }),
  error => say({ ok: false, status: error.StatusCode ?? null, error: String(error.message) })
)

// Three instances on App Service for Linux, over the cache of managed-redis.bicep.
//   az deployment group create --resource-group hubline --template-file app-service.bicep \
//     --parameters name=hubline image=registry.example.org/hubline:0.1.0 redisName=hubline-redis \
//     databaseConnectionString='Host=...' adminKey=...

@description('Name of the app, and first part of its host name.')
param name string
param location string = resourceGroup().location

@description('The image, in a registry that App Service may read.')
param image string

@description('Name of the cache.')
param redisName string

@secure()
@description('PostgreSQL, as Npgsql reads it: Host=...;Database=hubline;Username=...;Password=...;SSL Mode=VerifyFull')
param databaseConnectionString string

@secure()
@minLength(8)
@description('Key of /api/admin.')
param adminKey string

@minValue(1)
@description('Workers of the plan: each is an instance.')
param instances int = 3

param planSku string = 'P1v3'

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' existing = {
  name: redisName
}

resource redisDatabase 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' existing = {
  parent: redis
  name: 'default'
}

resource plan 'Microsoft.Web/serverfarms@2024-11-01' = {
  name: '${name}-plan'
  location: location
  kind: 'linux'
  sku: {
    name: planSku
    capacity: instances
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  kind: 'app,linux,container'
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // No ARR affinity: any instance serves any request.
    clientAffinityEnabled: false
    siteConfig: {
      linuxFxVersion: 'DOCKER|${image}'
      alwaysOn: true
      webSocketsEnabled: true
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      healthCheckPath: '/health/ready'
      appSettings: [
        {
          name: 'WEBSITES_PORT'
          value: '8080'
        }
        {
          // Seconds between SIGTERM and the end: more than Drain__Delay and ShutdownTimeout together. App Service allows 120.
          name: 'WEBSITES_CONTAINER_STOP_TIME_LIMIT'
          value: '75'
        }
        {
          name: 'WEBSITES_ENABLE_APP_SERVICE_STORAGE'
          value: 'false'
        }
        {
          // sslHost: nodes of the cluster are known by addresses, and their certificate is for this name.
          name: 'Redis__ConnectionString'
          value: '${redis.properties.hostName}:10000,password=${redisDatabase.listKeys().primaryKey},ssl=True,sslHost=${redis.properties.hostName},abortConnect=False'
        }
        {
          name: 'ConnectionStrings__Database'
          value: databaseConnectionString
        }
        {
          name: 'Admin__ApiKey'
          value: adminKey
        }
        {
          // The front ends of App Service, which are all that reaches the container.
          name: 'ASPNETCORE_FORWARDEDHEADERS_ENABLED'
          value: 'true'
        }
        {
          name: 'Drain__Delay'
          value: '5'
        }
        {
          name: 'ShutdownTimeout'
          value: '55'
        }
      ]
    }
  }
}

output url string = 'https://${app.properties.defaultHostName}'

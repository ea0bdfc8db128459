// Three instances on Container Apps, over the cache of managed-redis.bicep.
//   az deployment group create --resource-group hubline --template-file container-apps.bicep \
//     --parameters name=hubline image=registry.example.org/hubline:0.1.0 redisName=hubline-redis \
//     databaseConnectionString='Host=...' adminKey=...

@description('Name of the app, and first part of its host name.')
param name string
param location string = resourceGroup().location

@description('The image, in a registry that Container Apps may read.')
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
param minInstances int = 3

@minValue(1)
param maxInstances int = 10

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' existing = {
  name: redisName
}

resource redisDatabase 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' existing = {
  parent: redis
  name: 'default'
}

resource environment 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: '${name}-environment'
  location: location
  properties: {}
}

resource app 'Microsoft.App/containerApps@2025-01-01' = {
  name: name
  location: location
  properties: {
    environmentId: environment.id
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: 8080
        transport: 'http'
        // Any instance serves any request.
        stickySessions: {
          affinity: 'none'
        }
      }
      secrets: [
        {
          // sslHost: nodes of the cluster are known by addresses, and their certificate is for this name.
          name: 'redis'
          value: '${redis.properties.hostName}:10000,password=${redisDatabase.listKeys().primaryKey},ssl=True,sslHost=${redis.properties.hostName},abortConnect=False'
        }
        {
          name: 'database'
          value: databaseConnectionString
        }
        {
          name: 'admin-key'
          value: adminKey
        }
      ]
    }
    template: {
      // More than Drain__Delay and ShutdownTimeout together. There is no preStop: SIGTERM drains as well.
      terminationGracePeriodSeconds: 75
      containers: [
        {
          name: 'hubline'
          image: image
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
          env: [
            {
              name: 'Redis__ConnectionString'
              secretRef: 'redis'
            }
            {
              name: 'ConnectionStrings__Database'
              secretRef: 'database'
            }
            {
              name: 'Admin__ApiKey'
              secretRef: 'admin-key'
            }
            {
              // The ingress, which is all that reaches the container.
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
          probes: [
            {
              type: 'Startup'
              httpGet: {
                path: '/health/live'
                port: 8080
              }
              periodSeconds: 10
              failureThreshold: 10
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/health/live'
                port: 8080
              }
              periodSeconds: 10
              timeoutSeconds: 5
              failureThreshold: 3
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/health/ready'
                port: 8080
              }
              periodSeconds: 2
              timeoutSeconds: 2
              failureThreshold: 1
            }
          ]
        }
      ]
      scale: {
        minReplicas: minInstances
        maxReplicas: maxInstances
        rules: [
          {
            name: 'processor'
            custom: {
              type: 'cpu'
              metadata: {
                type: 'Utilization'
                value: '60'
              }
            }
          }
        ]
      }
    }
  }
}

output url string = 'https://${app.properties.configuration.ingress.fqdn}'

// Azure Managed Redis for the instances: TLS, port 10000, a cluster. (Azure Cache for Redis takes no new customers.)
//   az deployment group create --resource-group hubline --template-file managed-redis.bicep --parameters name=hubline-redis

@description('Name of the cache, and first part of its host name.')
param name string

@description('Region; next to the instances, since each message goes there and back.')
param location string = resourceGroup().location

@description('Size. All messages pass it: Balanced_B0 is for trying, B5 has 2 processors for each node.')
param sku string = 'Balanced_B5'

resource cache 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: name
  location: location
  sku: {
    name: sku
  }
  properties: {
    minimumTlsVersion: '1.2'
    highAvailability: 'Enabled'
    // Behind a private endpoint: 'Disabled'.
    publicNetworkAccess: 'Enabled'
  }
}

resource database 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' = {
  parent: cache
  name: 'default'
  properties: {
    port: 10000
    clientProtocol: 'Encrypted'
    // Instances connect to the nodes themselves, at ports 8500 to 8599 too. 'EnterpriseCluster': one address for all.
    clusteringPolicy: 'OSSCluster'
    // Nothing may be dropped.
    evictionPolicy: 'NoEviction'
    // Hubline signs in by key, not by Microsoft Entra ID.
    accessKeysAuthentication: 'Enabled'
  }
}

output hostName string = cache.properties.hostName

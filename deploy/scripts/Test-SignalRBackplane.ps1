#!/usr/bin/env pwsh
<#
.SYNOPSIS
Checks whether instances of Hubline work together over Redis: hubline check, with the parameters that the script has had before.

.DESCRIPTION
Needs the program hubline in PATH, or named by the variable HUBLINE. Exit code 0 if nothing failed, 1 if something did or the time was over.

.EXAMPLE
./Test-SignalRBackplane.ps1 -ApiUrls http://localhost:5000,http://localhost:5001 -Redis localhost:6379 -AdminKey $env:Admin__ApiKey
#>
param(
    # Addresses of the instances
    [string[]]$ApiUrls = @("http://localhost:5000", "http://localhost:5001", "http://localhost:5002"),
    # A virtual key, which every instance has to let in to the navigation state; without it none is tried
    [string]$VirtualKey = "",
    # How long the check may take
    [int]$TestDurationSeconds = 30,
    # Redis of the instances, as a connection string
    [string]$Redis = "localhost:6379",
    # Admin key of the instances, without which no message is sent; better in the variable Admin__ApiKey
    [string]$AdminKey = ""
)

$ErrorActionPreference = "Stop"
$hubline = if ($env:HUBLINE) { $env:HUBLINE } else { "hubline" }
# With -File a list is one text.
$urls = @($ApiUrls | ForEach-Object { $_ -split "[,;]" } | Where-Object { $_ })

# Not an argument: other users of the machine see those.
if ($AdminKey) { $env:Admin__ApiKey = $AdminKey }
$start = [System.Diagnostics.ProcessStartInfo]::new($hubline)
foreach ($argument in @("check", "--urls", ($urls -join ";"), "--redis", $Redis)) { $start.ArgumentList.Add($argument) }
try {
    $check = [System.Diagnostics.Process]::Start($start)
} catch {
    [Console]::Error.WriteLine("${hubline} cannot be started: put hubline into PATH, or name it in the variable HUBLINE")
    exit 1
}
if (-not $check.WaitForExit($TestDurationSeconds * 1000)) {
    $check.Kill()
    [Console]::Error.WriteLine("not done within $TestDurationSeconds s (-TestDurationSeconds)")
    exit 1
}
$code = $check.ExitCode

if ($VirtualKey) {
    Write-Output "Virtual key"
    foreach ($url in $urls) {
        try {
            $negotiate = "$url/hubs/navigation-state/negotiate?negotiateVersion=1"
            Invoke-RestMethod -Uri $negotiate -Method Post -Headers @{ Authorization = "Bearer $VirtualKey" } -TimeoutSec 5 | Out-Null
            Write-Output "  ✓ $url lets it in"
        } catch {
            Write-Output "  ✗ $url does not let it in: $($_.Exception.Message)"
            $code = 1
        }
    }
}
exit $code
